"""The cascade of MTCNN on three networks with known answers, followed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import UnfitError
from tests.unit.networks import save_answers
from workers.detectors.registry import open_detector

DESCRIPTION = """
layout = "mtcnn"
[models]
pnet = "p.onnx"
rnet = "r.onnx"
onet = "o.onnx"
[decode]
min_size = 12
"""


def make(folder: Path, r_score: float = 0.95, o_score: float = 0.9) -> Path:
    """P-Net sees a face in the second of three windows; R-Net and O-Net each judge one box."""
    scores = np.zeros((1, 2, 1, 3), dtype=np.float32)
    scores[0, :, 0] = np.array([[1, 0.2, 1], [0, 0.8, 0]])
    offsets = np.zeros((1, 4, 1, 3), dtype=np.float32)
    offsets[0, :, 0, 1] = 0.25, 0, 0, -0.25
    save_answers(folder / "p.onnx", {"prob": scores, "reg": offsets}, {"x": [1, 3, "h", "w"]})
    r = {
        "prob": np.array([[1 - r_score, r_score]], dtype=np.float32),
        "reg": np.array([[0, 0, 0, 0]], dtype=np.float32),
    }
    save_answers(folder / "r.onnx", r, {"x": ["n", 3, 24, 24]})
    o = {
        "points": np.array([[0.25, 0.75, 0.5, 0.25, 0.75, 0.25, 0.25, 0.5, 0.75, 0.75]], dtype=np.float32),
        "prob": np.array([[1 - o_score, o_score]], dtype=np.float32),
        "reg": np.array([[1 / 9, 0, 0, 1 / 9]], dtype=np.float32),
    }
    save_answers(folder / "o.onnx", o, {"x": ["n", 3, 48, 48]})
    path = folder / "mtcnn.toml"
    path.write_text(DESCRIPTION)
    return path


# One size of the pyramid: 12 pixels high, 0.709 of it are too few.
PICTURE = np.zeros((12, 16, 3), dtype=np.uint8)


def test_three_stages_move_one_box(tmp_path: Path) -> None:
    detector = open_detector("mtcnn", make(tmp_path), device="cpu", threads=1)
    (found,) = detector.detect([PICTURE])
    # The window at (2, 0) … (14, 12), moved by quarters of 12: (5, 0) … (14, 9), a square already. O-Net moves the
    # left side by a ninth of 9 and the lower one too.
    assert found.boxes_xyxy[0] == pytest.approx([6, 0, 14, 10], abs=0.01)
    assert found.scores.tolist() == [0.9]
    assert found.points5 is not None
    # Five x, five y in ninths of the square at (5, 0).
    assert found.points5[0] == pytest.approx(
        np.array([[7.25, 2.25], [11.75, 2.25], [9.5, 4.5], [7.25, 6.75], [11.75, 6.75]]), abs=0.01
    )


@pytest.mark.parametrize(("r_score", "o_score"), [(0.65, 0.9), (0.95, 0.65)])
def test_each_stage_can_refuse(tmp_path: Path, r_score: float, o_score: float) -> None:
    detector = open_detector("mtcnn", make(tmp_path, r_score, o_score), device="cpu", threads=1)
    assert len(detector.detect([PICTURE])[0]) == 0


def test_a_picture_smaller_than_the_smallest_face_has_none(tmp_path: Path) -> None:
    detector = open_detector("mtcnn", make(tmp_path), device="cpu", threads=1)
    assert [len(one) for one in detector.detect([np.zeros((5, 200, 3), dtype=np.uint8), PICTURE])] == [0, 1]


def test_without_a_description_the_message_says_what_it_needs(tmp_path: Path) -> None:
    make(tmp_path)
    with pytest.raises(UnfitError, match="pnet, rnet and onet"):
        open_detector("mtcnn", tmp_path / "p.onnx", device="cpu", threads=1)


def test_a_missing_output_is_named(tmp_path: Path) -> None:
    path = make(tmp_path)
    answers = {"prob": np.zeros((1, 2), dtype=np.float32), "reg": np.zeros((1, 4), dtype=np.float32)}
    save_answers(tmp_path / "o.onnx", answers, {"x": ["n", 3, 48, 48]})
    with pytest.raises(UnfitError, match="onet has no output for points"):
        open_detector("mtcnn", path, device="cpu", threads=1)
