"""Graphs on 8-bit integers, against arithmetic done by hand and against ONNX Runtime's own quantiser."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.weights import find
from tests.unit.test_precision import by_hand, network, pictures, planes, run
from workers.calibration import calibration_pictures
from workers.detectors import centerface, centerface_graphs
from workers.graphs import prepared_graph
from workers.integers import Ranges, byte_graph, measured_ranges
from workers.onnx_runtime import load_quantization
from workers.sessions import open_session, optimised_graph


def samples() -> list[npt.NDArray[np.float32]]:
    # Every byte of each plane occurs with every other's extremes, so that the ranges hold.
    return [planes(pictures(20)), *(np.full((1, 3, 4, 4), level, np.float32) for level in (0, 255))]


def folded(graph: bytes) -> bytes:
    return optimised_graph(graph, "the network", portable=True)


def quantised(float_convolutions: tuple[int, ...] = ()) -> bytes:
    graph = folded(network())
    return byte_graph(graph, measured_ranges(graph, samples()), float_convolutions=float_convolutions)


def kinds(graph: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_model_from_string(graph).graph.node)


def test_integers_come_near_the_floats() -> None:
    rgb = planes(pictures())
    answer, true = run(quantised(), rgb), by_hand(rgb)
    for channel in range(2):
        # A step of an activation is 1/255 of its range, one of a weight 1/64 of the greatest: some of them.
        assert np.abs(answer[:, channel] - true[:, channel]).max() < 0.03 * true[:, channel].max()
    assert np.abs(answer - true).max() > 1e-3, "it is the float graph"


def test_chosen_convolutions_stay_floats() -> None:
    assert (kinds(quantised())["QLinearConv"], kinds(quantised())["Conv"]) == (2, 0)
    assert (kinds(quantised((0,)))["QLinearConv"], kinds(quantised((0,)))["Conv"]) == (1, 1)


def test_the_same_samples_give_the_same_bytes() -> None:
    assert quantised() == quantised()


def test_the_ranges_are_the_least_and_the_greatest_numbers_that_occur() -> None:
    # y is 2 (.9 r + .3 g + .1 b) in one plane and 3 (.5 r - .25 b), where that is above 0, in the other.
    low, high = measured_ranges(folded(network()), samples())["y"]
    assert (low, high) == (0, pytest.approx(2 * 1.3 * 255, rel=1e-5))


def test_an_activation_without_a_range_is_named() -> None:
    graph = folded(network())
    ranges = dict(measured_ranges(graph, samples()))
    del ranges["y"]
    with pytest.raises(KeyError, match="y"):
        byte_graph(graph, ranges)


def test_a_plane_that_is_always_nought_stays_so() -> None:
    graph = folded(network(weights=np.zeros((2, 3, 1, 1), np.float32)))
    answer = run(byte_graph(graph, measured_ranges(graph, samples())), planes(pictures()))
    assert (answer == 0).all()


def busy_network() -> bytes:
    """All that CenterFace has: rectifiers, a sum, floats in the middle, two ends."""
    rng = np.random.default_rng(3)

    def weights(*shape: int) -> npt.NDArray[np.float32]:
        return rng.normal(0, 0.1, shape).astype(np.float32)

    same = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["first"], **same),
        helper.make_node("Relu", ["first"], ["a"]),
        helper.make_node("Conv", ["a", "w2", "b2"], ["b"], group=8, **same),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("ConvTranspose", ["c", "w3", "b3"], ["d"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("Conv", ["e", "w4"], ["seen"], kernel_shape=[1, 1]),
        helper.make_node("Conv", ["e", "w5", "b5"], ["g"], kernel_shape=[1, 1]),
        helper.make_node("Sigmoid", ["g"], ["sure"]),
    ]
    constants = {
        "w1": weights(8, 3, 3, 3),
        "b1": weights(8),
        "w2": weights(8, 1, 3, 3),
        "b2": weights(8),
        "w3": weights(8, 8, 2, 2),
        "b3": weights(8),
        "w4": weights(6, 8, 1, 1),
        "w5": weights(1, 8, 1, 1),
        "b5": weights(1),
    }
    constants["w1"][5] = 0
    graph = helper.make_graph(
        nodes,
        "busy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, "i", "j"])
            for name, channels in (("seen", 6), ("sure", 1))
        ],
        [numpy_helper.from_array(one, name) for name, one in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    return bytes(model.SerializeToString())


def by_onnx_runtime(graph: bytes, folder: Path, given: list[npt.NDArray[np.float32]]) -> bytes:
    """The same from the library's own quantiser."""
    quantization = load_quantization()
    reader: Any = quantization.CalibrationDataReader

    class Given(reader):  # type: ignore[misc]
        left = iter(given)

        def get_next(self) -> dict[str, Any] | None:
            sample = next(self.left, None)
            return None if sample is None else {"x": sample}

    model = onnx.load_model_from_string(graph)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}{number}"
    quantization.quantize_static(
        model,
        str(folder / "bytes.onnx"),
        Given(),
        quant_format=quantization.QuantFormat.QOperator,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        op_types_to_quantize=["Conv", "Relu", "Add"],
    )
    return (folder / "bytes.onnx").read_bytes()


def test_the_numbers_are_those_of_onnx_runtimes_own_quantiser(tmp_path: Path) -> None:
    graph = folded(busy_network())
    rng = np.random.default_rng(4)
    given = [rng.uniform(0, 255, (1, 3, 12, 20)).astype(np.float32) for _ in range(4)]
    own = byte_graph(graph, measured_ranges(graph, given))
    theirs = by_onnx_runtime(graph, tmp_path, given)
    wanted = {"QLinearConv": 4, "QLinearAdd": 1, "ConvTranspose": 1, "Sigmoid": 1}
    assert {kind: kinds(own)[kind] for kind in wanted} == wanted
    x = rng.uniform(0, 255, (3, 3, 16, 8)).astype(np.float32)
    answers = [open_session(one, "cpu", 1).run(None, {"x": x}) for one in (own, theirs)]
    for one, other in zip(*answers, strict=True):
        assert np.array_equal(one, other)
        assert np.ptp(one) > 0


def test_an_end_that_a_rectifier_reads_too_keeps_what_is_below_nought() -> None:
    model = onnx.load_model_from_string(network())
    model.graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, ["n", 2, "h", "w"]))
    graph = folded(bytes(model.SerializeToString()))
    pixels = np.array([0, 0, 255], np.float32).reshape(1, 3, 1, 1)
    session = open_session(byte_graph(graph, measured_ranges(graph, [*samples(), pixels])), "cpu", 1)
    (below,) = session.run(["c"], {"x": pixels})
    assert below.ravel() == pytest.approx([25.5, -63.75], abs=2.5)


@pytest.fixture(scope="module")
def folded_centerface() -> bytes:
    return folded(prepared_graph(find("centerface"), None, centerface._FREE_AXES))


def known_ranges() -> Ranges:
    ranges: Ranges = json.loads(centerface_graphs.KNOWN_RANGES.read_text())
    return ranges


def test_the_known_ranges_are_all_that_the_known_network_needs(folded_centerface: bytes) -> None:
    found = kinds(byte_graph(folded_centerface, known_ranges(), float_convolutions=(0, 1)))
    assert (found["QLinearConv"], found["Conv"]) == (58, 2)


@pytest.mark.soak
def test_the_known_ranges_are_what_the_pictures_give(folded_centerface: bytes) -> None:
    measured, known = centerface_graphs.ranges_of(folded_centerface), known_ranges()
    assert measured.keys() == known.keys()
    # The last bits of floats differ between processors.
    for name, limits in measured.items():
        assert limits == pytest.approx(known[name], rel=1e-4, abs=1e-4), name


def test_calibration_pictures_fit_the_network_and_are_always_the_same() -> None:
    first, second = list(calibration_pictures()), list(calibration_pictures())
    assert {(picture.shape, picture.dtype.name) for picture in first} == {((480, 640, 3), "uint8")}
    assert [one.tobytes() for one in first] == [one.tobytes() for one in second]
    assert {int(picture.min()) for picture in first} >= {0, 255}
