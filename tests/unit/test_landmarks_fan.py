"""The heat maps of FAN, and batches of faces for landmark networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import UnfitError
from tests.unit.networks import save_answers
from tests.unit.test_landmarks_onnx98 import save as save_98
from workers.landmarks.base import FacesOf
from workers.landmarks.registry import open_landmarker

COLUMNS = [(7 * k) % 61 + 1 for k in range(68)]
ROWS = [(11 * k) % 59 + 2 for k in range(68)]


def maps() -> np.ndarray:
    """(1, 68, 64, 64): point k peaks at (COLUMNS, ROWS), leans right, and up where k is odd."""
    answer = np.zeros((1, 68, 64, 64), dtype=np.float32)
    for k, (x, y) in enumerate(zip(COLUMNS, ROWS, strict=True)):
        answer[0, k, y, x] = 1
        answer[0, k, y, x + 1] = 0.5
        answer[0, k, y + (-1 if k % 2 else 1), x] = 0.5
    return answer


def test_points_lie_in_the_cell_of_the_peak_a_quarter_to_its_greater_neighbour(tmp_path: Path) -> None:
    path = save_answers(tmp_path / "fan.onnx", {"maps": maps()}, {"x": [1, 3, 256, 256]})
    fan = open_landmarker("fan", path, device="cpu", threads=1)
    found = fan.find(np.zeros((400, 400, 3), dtype=np.uint8), np.array([[100.0, 50, 200, 250]]), None)
    # FAN's square: 200/195 of 100 + 200, around (150, 150 − 0.12 · 200); 64 cells.
    side = 300 * 200 / 195
    left, top = 150 - side / 2, 126 - side / 2
    for k in (0, 1, 30, 67):
        x = left + (COLUMNS[k] + 0.75) / 64 * side - 0.5
        y = top + (ROWS[k] + (0.25 if k % 2 else 0.75)) / 64 * side - 0.5
        assert found.points68[0, k] == pytest.approx([x, y], abs=0.01)
    assert found.points5[0, 2] == pytest.approx(found.points68[0, 30])


def test_what_it_sees_is_the_square_in_rgb(tmp_path: Path) -> None:
    # One map is made of the crop itself: the red channel at a quarter of the size, 68 times.
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["x", "from", "to", "axis"], ["red"]),
            helper.make_node("AveragePool", ["red"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Tile", ["small", "times"], ["maps"]),
        ],
        "red",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 256, 256])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["n", 68, 64, 64])],
        [
            numpy_helper.from_array(np.array([0]), "from"),
            numpy_helper.from_array(np.array([1]), "to"),
            numpy_helper.from_array(np.array([1]), "axis"),
            numpy_helper.from_array(np.array([1, 68, 1, 1]), "times"),
        ],
    )
    path = tmp_path / "red.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    fan = open_landmarker("fan", path, device="cpu", threads=1)
    for size, spot in ((1, (170, 120)), (3, (500, 333)), (9, (1290, 1010))):
        # A red dot; everything else is blue. Small and large faces, one over the border.
        image = np.full((300 * size, 300 * size, 3), (250, 0, 0), dtype=np.uint8)
        x, y = spot
        image[y - 2 * size : y + 2 * size + 1, x - 2 * size : x + 2 * size + 1] = (0, 0, 255)
        box = np.array([[100.0, 50, 200, 180]]) * size
        found = fan.find(image, box, None)
        # A cell is 3.7 · size pixels wide.
        assert found.points68[0, 0] == pytest.approx([x, y], abs=3.0 * size)


@pytest.mark.parametrize("batch", ["n", 1, 2, 3, 64])
def test_faces_of_one_image_may_straddle_batches(tmp_path: Path, batch: int | str) -> None:
    # The network of test_landmarks_onnx98 answers with the blue of each crop: it tells the faces apart.
    landmarker = open_landmarker("onnx98", save_98(tmp_path / "m.onnx", batch), device="cpu", threads=1)
    images = []
    for k, count in enumerate((3, 0, 1, 2)):
        image = np.zeros((64, 64 * max(1, count), 3), dtype=np.uint8)
        boxes = np.array([[64.0 * face, 0, 64 * face + 64, 64] for face in range(count)]).reshape(-1, 4)
        for face in range(count):
            image[:, 64 * face : 64 * face + 64, 0] = 10 * k + face
        images.append(FacesOf(image, boxes, None))
    together = landmarker.find_all(images)
    assert [len(one.points68) for one in together] == [3, 0, 1, 2]
    for k, found in enumerate(together):
        for face in range(len(found.points68)):
            # y of WFLW's first point is 1 + blue / 100, x is blue / 100, in crops of 64.
            shift = 0.64 * (10 * k + face)
            assert found.points68[face, 0] == pytest.approx([64 * face + shift, 64 + shift], abs=0.01)
    alone = [landmarker.find(one.image_bgr, one.boxes_xyxy, None) for one in images]
    assert all((a.points68 == b.points68).all() for a, b in zip(alone, together, strict=True))


def test_other_answers_are_unfit(tmp_path: Path) -> None:
    path = save_answers(tmp_path / "m.onnx", {"maps": maps()[:, :5]}, {"x": [1, 3, 256, 256]})
    with pytest.raises(UnfitError, match=r"does not run as 68 heat maps: \[n, 68, h, w\] was expected"):
        open_landmarker("fan", path, device="cpu", threads=1)
    oblong = save_answers(tmp_path / "o.onnx", {"maps": maps()}, {"x": [1, 3, 128, 256]})
    with pytest.raises(UnfitError, match="must take one square picture"):
        open_landmarker("fan", oblong, device="cpu", threads=1)


def test_a_normalised_crop_is_what_the_network_sees(tmp_path: Path) -> None:
    # Blue 100 … 131 becomes 0 … 255: the first pixel is 0, not 100.
    image = np.repeat((100 + np.arange(64) // 2).astype(np.uint8)[None, :, None], 64, axis=0).repeat(
        3, axis=2
    )
    path = save_98(tmp_path / "m.onnx")
    shifts = {}
    for normalization in ("none", "mean"):
        landmarker = open_landmarker(
            "onnx98",
            path,
            device="cpu",
            threads=1,
            normalization=normalization,  # type: ignore[arg-type]
        )
        found = landmarker.find(image.copy(), np.array([[0.0, 0, 64, 64]]), None)
        shifts[normalization] = float(found.points68[0, 0, 0]) / 0.64
    assert shifts["none"] == pytest.approx(100, abs=0.1)
    assert shifts["mean"] == pytest.approx(0, abs=0.1)
