from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from skimage import data

from common.errors import UnfitError
from tests.unit.networks import save_answers
from workers.detectors.boxes import iou
from workers.detectors.registry import open_detector

RFB_320 = Path("../shared/models/version-RFB-320.onnx")
FLOAT = TensorProto.FLOAT
IMAGE = np.zeros((480, 1280, 3), dtype=np.uint8)  # four times as wide, twice as high as the network's input


def open_rfb(path: Path, **options: Any) -> Any:
    return open_detector("rfb", path, device="cpu", threads=1, **options)


FINISHED_INPUTS = {"input": [1, 3, 240, 320], "iou_threshold": [1], "score_threshold": [1]}


def finished(boxes: list[list[float]], scores: list[float]) -> dict[str, npt.NDArray[Any]]:
    return {
        "detected_boxes": np.array(boxes, dtype=np.float32).reshape(-1, 4),
        "classes": np.ones(len(scores), dtype=np.int64),
        "detected_scores": np.array(scores, dtype=np.float32),
    }


def test_the_plain_form_is_thresholded_and_suppressed_here(tmp_path: Path) -> None:
    boxes = [[0.25, 0.5, 0.5, 0.75], [0.26, 0.5, 0.5, 0.75], [0, 0, 0.1, 0.1], [1.1, 0, 1.2, 0.5]]
    scores = [[0.1, 0.9], [0.2, 0.8], [0.6, 0.4], [0.0, 1.0]]
    path = save_answers(
        tmp_path / "plain.onnx",
        {"scores": np.array([scores], dtype=np.float32), "boxes": np.array([boxes], dtype=np.float32)},
        {"input": [1, 3, 240, 320]},
    )
    (found,) = open_rfb(path).detect([IMAGE])
    assert found.boxes_xyxy.tolist() == [[320, 240, 640, 360]]
    assert found.scores.tolist() == [0.9]
    assert found.points5 is None


@pytest.mark.parametrize(
    "boxes", [[[0.25, 0.5, 0.5, 0.75]], [[80.0, 120, 160, 180]]], ids=["in 0–1", "in pixels of the input"]
)
def test_the_finished_form_is_read_in_either_unit(tmp_path: Path, boxes: list[list[float]]) -> None:
    path = save_answers(tmp_path / "finished.onnx", finished(boxes, [0.75]), FINISHED_INPUTS)
    (found,) = open_rfb(path).detect([IMAGE])
    assert found.boxes_xyxy.tolist() == [[320, 240, 640, 360]]
    assert found.scores.tolist() == [0.75]


def test_the_finished_form_may_find_nothing(tmp_path: Path) -> None:
    path = save_answers(tmp_path / "finished.onnx", finished([], []), FINISHED_INPUTS)
    (found,) = open_rfb(path).detect([IMAGE])
    assert (found.boxes_xyxy.shape, found.scores.shape) == ((0, 4), (0,))


def test_the_finished_form_is_given_the_thresholds(tmp_path: Path) -> None:
    # Its one score is the threshold it was given plus the other one.
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["score_threshold", "iou_threshold"], ["detected_scores"]),
            helper.make_node("Identity", ["box"], ["detected_boxes"]),
        ],
        "echo",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in FINISHED_INPUTS.items()],
        [
            helper.make_tensor_value_info("detected_boxes", FLOAT, [1, 4]),
            helper.make_tensor_value_info("detected_scores", FLOAT, [1]),
        ],
        [numpy_helper.from_array(np.array([[0.1, 0.1, 0.4, 0.4]], dtype=np.float32), "box")],
    )
    path = tmp_path / "echo.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    (found,) = open_rfb(path, score=0.5, nms=0.25).detect([IMAGE])
    assert found.scores.tolist() == [0.75]


def test_outputs_of_other_shapes_are_unfit(tmp_path: Path) -> None:
    scores, boxes = np.zeros((1, 5, 1), dtype=np.float32), np.zeros((1, 5, 4), dtype=np.float32)
    path = save_answers(
        tmp_path / "thin.onnx", {"scores": scores, "boxes": boxes}, {"input": [1, 3, 240, 320]}
    )
    with pytest.raises(UnfitError, match=r"thin\.onnx does not run as an RFB detector"):
        open_rfb(path)


def test_other_outputs_are_unfit(tmp_path: Path) -> None:
    path = save_answers(
        tmp_path / "other.onnx", {"y": np.zeros(3, dtype=np.float32)}, {"input": [1, 3, 240, 320]}
    )
    with pytest.raises(UnfitError, match="no RFB detector") as caught:
        open_rfb(path)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not RFB_320.is_file(), reason="the shared model is not here")
def test_the_published_model_finds_the_astronaut_and_nothing_in_black() -> None:
    detector = open_rfb(RFB_320)
    image = np.ascontiguousarray(data.astronaut()[..., ::-1])
    face, wide, nothing = detector.detect([image, cv2.resize(image, (1024, 512)), np.zeros_like(image)])
    assert iou(face.boxes_xyxy, np.array([[175.0, 60, 270, 190]]))[0, 0] > 0.5
    assert iou(wide.boxes_xyxy / [2, 1, 2, 1], face.boxes_xyxy)[0, 0] > 0.8
    assert len(nothing) == 0
