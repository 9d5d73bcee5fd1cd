"""Graphs in other precisions, against arithmetic done by hand and against the float graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.errors import UnfitError
from workers.precision import half_graph, joined_heads, pixel_graph
from workers.sessions import open_session, optimised_graph

# No 16-bit float is a tenth.
WEIGHTS = np.array([[0.9, 0.3, 0.1], [0.5, 0, -0.25]], np.float32).reshape(2, 3, 1, 1)


def network(extra: list[Any] | None = None, weights: npt.NDArray[np.float32] = WEIGHTS) -> bytes:
    """`y`: two 1×1 convolutions of the planes of `x`; opset 9, as published, without names of nodes."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["d"]),
        helper.make_node("Add", ["d", "r"], ["y"]),
        *(extra or []),
    ]
    second = np.array([[1.0, 0], [0, 2]], np.float32).reshape(2, 2, 1, 1)
    graph = helper.make_graph(
        nodes,
        "planes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2, "h", "w"])],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(second, "v")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=4)
    return bytes(model.SerializeToString())


def run(graph: bytes, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    (answer,) = open_session(graph, "cpu", 1).run(None, {"x": array})
    return np.asarray(answer)


def pictures(count: int = 2) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 5, 7, 3), dtype=np.uint8)


def planes(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """RGB planes of BGR pixels."""
    return np.stack([pixels[..., 2], pixels[..., 1], pixels[..., 0]], axis=1).astype(np.float32)


def by_hand(rgb: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    red, green, blue = (rgb[:, channel].astype(np.float64) for channel in range(3))
    first = np.maximum(0.9 * red + 0.3 * green + 0.1 * blue, 0)
    second = np.maximum(0.5 * red - 0.25 * blue, 0)
    return np.stack([2 * first, 3 * second], axis=1)


def test_pixels_give_the_numbers_that_planes_give() -> None:
    pixels = pictures()
    answer = run(pixel_graph(network()), pixels)
    np.testing.assert_allclose(answer, by_hand(planes(pixels)), rtol=1e-6)
    assert (answer == run(network(), planes(pixels))).all()


def test_half_floats_keep_eleven_bits_and_the_inputs_and_outputs_stay_float32() -> None:
    rgb = planes(pictures())
    answer, true = run(half_graph(network(), "the network"), rgb), by_hand(rgb)
    assert answer.dtype == np.float32
    # Each of a few roundings is off by 2⁻¹¹ at the most.
    np.testing.assert_allclose(answer, true, rtol=6 * 2**-11, atol=0.25)
    # The bits of the weights are lost even where a CPU computes in float32 in between.
    assert np.abs(answer / np.maximum(true, 1) - 1).max() > 2**-13


def test_a_weight_beyond_half_floats_becomes_the_greatest_of_them() -> None:
    model = onnx.load_model_from_string(half_graph(network(weights=WEIGHTS * np.float32(1e6)), "the network"))
    weights = numpy_helper.to_array(next(one for one in model.graph.initializer if one.name == "w"))
    assert weights.dtype == np.float16
    assert weights.max() == 65504


def test_an_operator_that_takes_sizes_as_floats_is_refused_by_name() -> None:
    strange = helper.make_node("Upsample", ["y", "scales"], ["z"])
    with pytest.raises(UnfitError, match=r"the network.*Upsample.*--detector-precision fp32"):
        half_graph(network([strange]), "the network")


def test_half_floats_and_pixels_go_together() -> None:
    pixels = pictures()
    half = half_graph(network(), "the network")
    assert (run(pixel_graph(half), pixels) == run(half, planes(pixels))).all()


def test_a_portable_graph_has_no_layouts_of_one_kind_of_cpu(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(optimised_graph(network(), "the network", portable=True))
    assert {node.domain for node in model.graph.node} <= {""}


def with_heads(opset: int, domain: str = "") -> bytes:
    """Two heads behind `c`: the planes plus 1 and 2, and 1 / (1 + e^(3 - their sum)); a third value of `c` goes on."""
    nodes = [
        helper.make_node("Conv", ["x", "same", "one two"], ["c"]),
        helper.make_node("Conv", ["c", "same", "one two"], ["y"]),
        helper.make_node("Conv", ["c", "sum", "minus three"], ["s"]),
        helper.make_node("Sigmoid", ["s"], ["z"]),
        helper.make_node("Conv", ["c", "same", "one two"], ["d"]),
        helper.make_node("Relu", ["d"], ["r"]),
        helper.make_node("Conv", ["r", "sum", "minus three"], ["u"]),
    ]
    graph = helper.make_graph(
        nodes,
        "heads",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2, "h", "w"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None, "h", "w"]) for name in "yzu"],
        [
            numpy_helper.from_array(np.eye(2, dtype=np.float32).reshape(2, 2, 1, 1), "same"),
            numpy_helper.from_array(np.array([1, 2], np.float32), "one two"),
            numpy_helper.from_array(np.ones((1, 2, 1, 1), np.float32), "sum"),
            numpy_helper.from_array(np.array([-3], np.float32), "minus three"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, opset)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(("opset", "domain"), [(9, ""), (13, ""), (13, "ai.onnx")])
def test_heads_that_read_one_value_are_one_convolution_and_give_the_same_numbers(
    opset: int, domain: str
) -> None:
    graph = with_heads(opset, domain)
    joined = joined_heads(graph)
    nodes = [(node.op_type, *node.output) for node in onnx.load_model_from_string(joined).graph.node]
    assert sorted(nodes) == [
        *(("Conv", "c"), ("Conv", "c_heads"), ("Conv", "d"), ("Conv", "u"), ("Relu", "r")),
        *(("Sigmoid", "z"), ("Split", "y", "s")),
    ]
    x = np.random.default_rng(0).normal(size=(3, 2, 5, 7)).astype(np.float32)
    y, z, u = open_session(joined, "cpu", 1).run(None, {"x": x})
    shifted = x + np.array([1, 2], np.float32).reshape(2, 1, 1)
    assert y == pytest.approx(shifted + np.array([1, 2]).reshape(2, 1, 1), rel=1e-5)
    assert z == pytest.approx(1 / (1 + np.exp(3 - shifted.sum(axis=1, keepdims=True))), rel=1e-5)
    assert u.shape == z.shape
    for one, other in zip((y, z, u), open_session(graph, "cpu", 1).run(None, {"x": x}), strict=True):
        assert np.array_equal(one, other)


def test_a_graph_without_two_heads_stays_as_it_is() -> None:
    assert onnx.load_model_from_string(joined_heads(network())) == onnx.load_model_from_string(network())
