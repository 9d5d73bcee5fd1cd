from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.errors import UnfitError
from workers.landmarks.onnx98 import cut_box
from workers.landmarks.registry import open_landmarker

# y falls from 1 to 0.03, x climbs from 0 to 0.97: no two points and no two coordinates are alike.
ANSWER_YX = np.stack([1 - np.arange(98) / 100, np.arange(98) / 100], axis=1).astype(np.float32)


def save(path: Path, batch: int | str = "n", side: int = 64, points: int = 98) -> Path:
    """Write a network that answers ANSWER_YX, plus the first pixel's blue divided by 100, for each crop."""
    answer = ANSWER_YX[:points]
    constants = {
        "starts": np.array([0, 0, 0, 0]),
        "ends": np.array([9999, 1, 1, 1]),
        "shape": np.array([-1, 1, 1]),
        "hundred": np.array([100], dtype=np.float32),
        "answer": answer[None],
    }
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["crops", "starts", "ends"], ["pixel"]),
            helper.make_node("Cast", ["pixel"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Reshape", ["float", "shape"], ["column"]),
            helper.make_node("Div", ["column", "hundred"], ["shift"]),
            helper.make_node("Add", ["shift", "answer"], ["landmarks"]),
        ],
        "landmarks98",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, [batch, side, side, 3])],
        [helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, [batch, points, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def open_98(path: Path) -> Any:
    return open_landmarker("onnx98", path, device="cpu", threads=1)


def test_y_and_x_of_the_crop_become_x_and_y_of_the_image(tmp_path: Path) -> None:
    found = open_98(save(tmp_path / "m.onnx")).find(
        np.zeros((300, 300, 3), dtype=np.uint8), np.array([[100.0, 50, 200, 250]]), None
    )
    assert found.points68.shape == (1, 68, 2)
    # Point 0 is WFLW 0 at (y 1, x 0); point 57 is WFLW 85 at (y 0.15, x 0.85); the box is 100 by 200.
    assert found.points68[0, 0] == pytest.approx([100, 250])
    assert found.points68[0, 57] == pytest.approx([185, 80])
    # WFLW 96, 97, 54, 76, 82.
    assert found.points5[0] == pytest.approx(
        np.array([[196, 58], [197, 56], [154, 142], [176, 98], [182, 86]], dtype=float), abs=0.01
    )


@pytest.mark.parametrize("batch", ["n", 1, 2, 5])
def test_each_face_gets_its_own_points_whatever_batch_the_file_declares(
    tmp_path: Path, batch: int | str
) -> None:
    image = np.zeros((64, 192, 3), dtype=np.uint8)
    image[:, 64:128, 0], image[:, 128:, 0] = 10, 20
    boxes = np.array([[0.0, 0, 64, 64], [64, 0, 128, 64], [128, 0, 192, 64]])
    found = open_98(save(tmp_path / "m.onnx", batch)).find(image, boxes, None)
    # The shift is blue / 100 of a crop of 64 pixels.
    assert found.points68[:, 0] == pytest.approx(
        np.array([[0, 64], [64 + 6.4, 64 + 6.4], [128 + 12.8, 64 + 12.8]]), abs=0.01
    )


def test_no_boxes_give_no_points(tmp_path: Path) -> None:
    found = open_98(save(tmp_path / "m.onnx")).find(
        np.zeros((9, 9, 3), dtype=np.uint8), np.zeros((0, 4)), None
    )
    assert (found.points68.shape, found.points5.shape) == ((0, 68, 2), (0, 5, 2))


def test_a_crop_is_black_where_the_image_ends() -> None:
    image = np.full((100, 100, 3), 200, dtype=np.uint8)
    crop = cut_box(image, (-32, -32, 32, 32))
    assert (crop[:32, :32] == 0).all()
    assert (crop[:32] == 0).all()
    assert (crop[:, :32] == 0).all()
    assert (crop[32:, 32:] == 200).all()
    over = cut_box(image, (68, 68, 132, 132))
    assert (over[:32, :32] == 200).all()
    assert (over[32:] == 0).all()


@pytest.mark.parametrize("box", [(-90, -90, -10, -10), (200, 10, 260, 50), (10, 300, 20, 301)])
def test_a_crop_outside_the_image_is_all_black(box: tuple[int, int, int, int]) -> None:
    crop = cut_box(np.full((100, 100, 3), 200, dtype=np.uint8), box)
    assert crop.shape == (64, 64, 3)
    assert (crop == 0).all()


def test_a_box_thinner_than_a_pixel_does_no_harm(tmp_path: Path) -> None:
    found = open_98(save(tmp_path / "m.onnx")).find(
        np.zeros((9, 9, 3), dtype=np.uint8), np.array([[3.2, 3.2, 3.4, 3.4]]), None
    )
    assert np.isfinite(found.points68).all()


@pytest.mark.parametrize("wrong", [{"side": 112}, {"points": 68}])
def test_other_sizes_are_unfit(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UnfitError, match=r"must take uint8 \[n, 64, 64, 3\] and give \[n, 98, 2\]"):
        open_98(save(tmp_path / "m.onnx", **wrong))
