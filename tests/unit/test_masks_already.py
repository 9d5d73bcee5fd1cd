"""A classifier of masked faces, made here: it calls a face masked whose blue is brighter than its red."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from common.errors import UnfitError
from workers.masks.already import open_mask_judge

BLUE_FACE, RED_FACE = (200, 60, 20), (20, 60, 200)


def _classifier(path: Path, *, outputs: int, size: object = 32, kind: int = TensorProto.FLOAT) -> Path:
    """Write a network: the mean of each channel, then weights for red, green, blue."""
    weights = np.array([[-9.0], [0.0], [9.0]] if outputs == 1 else [[9, -9], [0, 0], [-9, 9]], np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["faces", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["scores"]),
    ]
    if outputs == 1:
        nodes.append(helper.make_node("Sigmoid", ["scores"], ["likely"]))
    graph = helper.make_graph(
        nodes,
        "blue",
        [helper.make_tensor_value_info("faces", kind, ["n", 3, size, size])],
        [helper.make_tensor_value_info("likely" if outputs == 1 else "scores", kind, ["n", outputs])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
            helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("size", [32, "side"])
def test_each_face_is_judged_by_its_own_box(tmp_path: Path, outputs: int, size: object) -> None:
    path = _classifier(tmp_path / "masked.onnx", outputs=outputs, size=size)
    judge = open_mask_judge(path, device="cpu", threads=1)
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, :100], image[:, 100:] = BLUE_FACE, RED_FACE
    boxes = np.array([[10.0, 10, 90, 90], [110, 10, 190, 90], [-40, -40, 30, 30], [180, 80, 260, 160]])
    assert judge.masked(image, boxes) == [True, False, True, False]
    assert judge.masked(image, np.zeros((0, 4))) == []


def test_a_missing_file_and_one_that_is_no_network_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match="no such file"):
        open_mask_judge(tmp_path / "none.onnx", device="cpu", threads=1)
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(UnfitError, match="mask classifier"):
        open_mask_judge(tmp_path / "text.onnx", device="cpu", threads=1)


def test_a_network_with_other_answers_is_unfit(tmp_path: Path) -> None:
    nodes = [helper.make_node("Flatten", ["faces"], ["flat"])]
    graph = helper.make_graph(
        nodes,
        "flat",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["n", 192])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "flat.onnx")
    with pytest.raises(UnfitError, match="does not run as a mask classifier"):
        open_mask_judge(tmp_path / "flat.onnx", device="cpu", threads=1)
