"""Layouts of users' detectors on networks with known answers; expected boxes are worked out here by hand.

The network's input is 96 × 64 and the picture 192 × 128: what lies at (x, y) there lies at (2x, 2y) here.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from common.errors import UnfitError
from tests.unit.networks import save_answers
from workers.detectors.base import Detection
from workers.detectors.registry import open_detector
from workers.onnx_runtime import ort

INPUT = {"input": [1, 3, 64, 96]}
PICTURE = np.zeros((128, 192, 3), dtype=np.uint8)
# Cells of 8, 16 and 32 pixels: 12 × 8, 6 × 4 and 3 × 2.
CELLS = {8: 96, 16: 24, 32: 6}

Arrays = dict[str, npt.NDArray[Any]]


def zeros(*shape: int) -> npt.NDArray[np.float32]:
    return np.zeros(shape, dtype=np.float32)


def detect(name: str, path: Path, picture: npt.NDArray[np.uint8] = PICTURE, **options: Any) -> Detection:
    (found,) = open_detector(name, path, device="cpu", threads=1, **options).detect([picture])
    return found


def scrfd(batch_axis: bool = False) -> Arrays:
    """One face: stride 16, row 1, column 4, the second of two anchors: its corner is (64, 16)."""
    answers: Arrays = {}
    for role, width in (("score", 1), ("bbox", 4), ("kps", 10)):
        for stride, cells in CELLS.items():
            answers[f"{role}_{stride}"] = zeros(2 * cells, width)
    place = (1 * 6 + 4) * 2 + 1
    answers["score_16"][place] = 0.9
    answers["bbox_16"][place] = 1, 0.5, 1.5, 2
    answers["kps_16"][place] = -0.5, 0, 0.5, 0, 0, 0.25, -0.25, 1, 0.25, 1
    # The first anchor of the same cell says nearly the same, less surely: suppressed.
    answers["score_16"][place - 1] = 0.8
    answers["bbox_16"][place - 1] = 1, 0.5, 1.5, 1.9
    # And one below the threshold, elsewhere.
    answers["score_8"][0], answers["bbox_8"][0] = 0.4, 1
    return {name: value[None] for name, value in answers.items()} if batch_axis else answers


@pytest.mark.parametrize("batch_axis", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_scrfd_counts_in_strides_from_the_corner_of_a_cell(
    tmp_path: Path, batch_axis: bool, order: int
) -> None:
    answers = dict(list(scrfd(batch_axis).items())[::order])
    found = detect("scrfd", save_answers(tmp_path / "m.onnx", answers, INPUT))
    # 64 − 16, 16 − 8, 64 + 24, 16 + 32; then doubled.
    assert found.boxes_xyxy.tolist() == [[96, 16, 176, 96]]
    assert found.scores.tolist() == [0.9]
    assert found.points5 is not None
    assert found.points5[0].tolist() == [[112, 32], [144, 32], [128, 40], [120, 64], [136, 64]]


def test_scrfd_may_have_no_points(tmp_path: Path) -> None:
    answers = {name: value for name, value in scrfd().items() if not name.startswith("kps")}
    found = detect("scrfd", save_answers(tmp_path / "m.onnx", answers, INPUT))
    assert (found.boxes_xyxy.tolist(), found.points5) == ([[96, 16, 176, 96]], None)


def retinaface(logits: bool = False) -> Arrays:
    """One face: stride 32, row 1, column 2, the prior of 512 around (80, 48)."""
    count = 2 * sum(CELLS.values())
    answers = {"loc": zeros(1, count, 4), "conf": zeros(1, count, 2), "landms": zeros(1, count, 10)}
    place = 2 * (96 + 24) + (1 * 3 + 2) * 2 + 1
    answers["conf"][0, :, 0] = 9 if logits else 1
    answers["conf"][0, place] = (0, math.log(9)) if logits else (0.1, 0.9)
    # 32 pixels to the left; 40 wide and 30 high.
    answers["loc"][0, place] = -32 / 51.2, 0, math.log(40 / 512) / 0.2, math.log(30 / 512) / 0.2
    answers["landms"][0, place] = np.array([-40, -8, -24, -8, -32, 0, -38, 8, -26, 8]) / 51.2
    return answers


@pytest.mark.parametrize("logits", [False, True])
def test_retinaface_moves_and_stretches_its_priors(tmp_path: Path, logits: bool) -> None:
    path = save_answers(tmp_path / "m.onnx", retinaface(logits), INPUT)
    if logits:
        (tmp_path / "m.toml").write_text('layout = "retinaface"\n[decode]\nactivation = "softmax"\n')
    found = detect("retinaface", path)
    assert found.boxes_xyxy[0] == pytest.approx([56, 66, 136, 126], abs=0.02)
    assert found.scores.tolist() == [0.9]
    assert found.points5 is not None
    assert found.points5[0] == pytest.approx(
        np.array([[80, 80], [112, 80], [96, 96], [84, 112], [108, 112]], dtype=float), abs=0.02
    )


def test_retinaface_of_other_priors_is_described(tmp_path: Path) -> None:
    # One stride of 16, one prior of 20 a cell, other variances: row 2, column 1 is around (24, 40).
    answers = {"boxes": zeros(1, 24, 4), "scores": zeros(1, 24, 2)}
    answers["scores"][0, 2 * 6 + 1, 1] = 0.75
    answers["boxes"][0, 2 * 6 + 1] = 0.5, 0, 0, 0
    save_answers(tmp_path / "m.onnx", answers, INPUT)
    (tmp_path / "mine.json").write_text(
        json.dumps(
            {
                "layout": "retinaface",
                "model": "m.onnx",
                "decode": {"strides": [16], "min_sizes": [[20]], "variances": [0.4, 0.2]},
            }
        )
    )
    found = detect("retinaface", tmp_path / "mine.json")
    # 0.5 · 0.4 · 20 = 4 to the right: 18 … 38, 30 … 50.
    assert found.boxes_xyxy.tolist() == [[36, 60, 76, 100]]


def yunet() -> Arrays:
    """One face: stride 8, row 3, column 5."""
    answers: Arrays = {}
    for role, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
        for stride, cells in CELLS.items():
            answers[f"{role}_{stride}"] = zeros(1, cells, width)
    place = 3 * 12 + 5
    answers["cls_8"][0, place], answers["obj_8"][0, place] = 0.81, 1
    answers["bbox_8"][0, place] = 0.5, 0.25, math.log(2), math.log(1.5)
    answers["kps_8"][0, place] = 0, 0, 1, 0, 0.5, 0.5, 0, 1, 1, 1
    # Surely an object and surely no face.
    answers["obj_8"][0, 0] = 1
    return answers


def test_yunet_takes_the_root_of_both_scores(tmp_path: Path) -> None:
    found = detect("yunet", save_answers(tmp_path / "m.onnx", yunet(), INPUT))
    # Centre (5.5 · 8, 3.25 · 8) = (44, 26), 16 by 12: 36 … 52, 20 … 32.
    assert found.boxes_xyxy.tolist() == [[72, 40, 104, 64]]
    assert found.scores.tolist() == [0.9]
    assert found.points5 is not None
    assert found.points5[0].tolist() == [[80, 48], [96, 48], [88, 56], [80, 64], [96, 64]]


def s3fd() -> Arrays:
    """One face: stride 8, row 2, column 3, the prior of 32 around (28, 20)."""
    answers: Arrays = {}
    for stride in (4, 8, 16, 32, 64, 128):
        height, width = -(-64 // stride), -(-96 // stride)
        answers[f"cls_{stride}"] = zeros(1, 2, height, width)
        answers[f"cls_{stride}"][0, 0] = 9
        answers[f"reg_{stride}"] = zeros(1, 4, height, width)
    answers["cls_8"][0, :, 2, 3] = 0, math.log(9)
    answers["reg_8"][0, :, 2, 3] = 1.25, -2.5, math.log(0.5) / 0.2, 0
    return answers


def test_s3fd_reads_maps_of_six_strides(tmp_path: Path) -> None:
    found = detect("s3fd", save_answers(tmp_path / "m.onnx", s3fd(), INPUT))
    # Centre (28 + 1.25 · 0.1 · 32, 20 − 2.5 · 0.1 · 32) = (32, 12), 16 by 32: 24 … 40, −4 … 28, clipped.
    assert found.boxes_xyxy[0] == pytest.approx([48, 0, 80, 56], abs=0.02)
    assert (found.scores.tolist(), found.points5) == ([0.9], None)


def test_resnet_ssd_gives_finished_rows(tmp_path: Path) -> None:
    rows = np.array(
        [
            [0, 1, 0.9, 0.25, 0.5, 0.5, 0.75],
            [0, 2, 0.99, 0, 0, 1, 1],  # another class
            [0, 1, 0.3, 0, 0, 0.2, 0.2],  # unsure
            [0, 1, 0.8, 1.1, 0.2, 1.3, 0.4],  # outside
        ],
        dtype=np.float32,
    )
    path = save_answers(tmp_path / "m.onnx", {"out": rows[None, None]}, {"data": [1, 3, 300, 300]})
    found = detect("resnet-ssd", path)
    assert found.boxes_xyxy.tolist() == [[48, 64, 96, 96]]
    assert (found.scores.tolist(), found.points5) == ([0.9], None)


def test_the_corner_face_of_a_large_picture_is_kept(tmp_path: Path) -> None:
    # The far corner of 4000 × 3000 is (96, 72) … in a network of 96 × 96 it is cell (11, 8) of stride 8.
    answers = {"score": zeros(2 * 144, 1), "bbox": zeros(2 * 144, 4)}
    answers["score"][2 * (8 * 12 + 11)] = 0.9
    answers["bbox"][2 * (8 * 12 + 11)] = 0, 0, 1, 1
    save_answers(tmp_path / "m.onnx", answers, {"input": [1, 3, 96, 96]})
    (tmp_path / "m.toml").write_text('layout = "scrfd"\n[decode]\nstrides = [8]\n')
    found = detect("scrfd", tmp_path / "m.onnx", np.zeros((3000, 4000, 3), dtype=np.uint8))
    # 88 and 64 times 4000/96; what lies over the border is cut off.
    assert found.boxes_xyxy[0] == pytest.approx([88 * 4000 / 96, 64 * 4000 / 96, 4000, 3000], abs=0.01)


def test_what_the_network_sees_is_as_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_answers(tmp_path / "net.onnx", scrfd(), INPUT)
    (tmp_path / "net.toml").write_text(
        'layout = "scrfd"\n[input]\ncolor = "bgr"\nmean = [1, 2, 3]\nscale = [2.0, 1.0, 0.5]\n'
    )
    detector = open_detector("scrfd", tmp_path / "net.onnx", device="cpu", threads=1)
    seen: list[npt.NDArray[Any]] = []
    real = ort.InferenceSession.run

    def run(self: Any, names: Any, feeds: dict[str, npt.NDArray[Any]]) -> Any:
        seen.extend(feeds.values())
        return real(self, names, feeds)

    monkeypatch.setattr(ort.InferenceSession, "run", run)
    # Wider than the network: black below. 96 × 32 remain of 192 × 64.
    detector.detect([np.full((64, 192, 3), (10, 20, 30), dtype=np.uint8)])
    (fed,) = seen
    assert (fed.shape, fed.dtype) == ((1, 3, 64, 96), np.float32)
    assert [fed[0, channel, 5, 5] for channel in range(3)] == [18, 18, 13.5]
    assert [fed[0, channel, 40, 5] for channel in range(3)] == [-2, -2, -1.5]


def test_a_network_of_free_size_gets_multiples_and_never_an_enlarged_picture(tmp_path: Path) -> None:
    # Constant answers for 96 × 64 fit only where the picture is padded to just that.
    answers = scrfd()
    save_answers(tmp_path / "m.onnx", answers, {"input": [1, 3, "h", "w"]})
    (tmp_path / "m.toml").write_text('layout = "scrfd"\n[input]\nsize = [96, 64]\n')
    detector = open_detector("scrfd", tmp_path / "m.onnx", device="cpu", threads=1)
    assert detector.detect([PICTURE])[0].boxes_xyxy.tolist() == [[96, 16, 176, 96]]
    (tmp_path / "m.toml").unlink()
    with pytest.raises(
        UnfitError, match="does not run as a detector of the layout scrfd: 2048 boxes were expected"
    ):
        open_detector("scrfd", tmp_path / "m.onnx", device="cpu", threads=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('layout = "yunet"', "is of the layout yunet, asked is scrfd"),
        ("layout =", "is no TOML"),
        ('layout = "scrfd"\nstride = 8', "stride: extra inputs are not permitted"),
        ('layout = "scrfd"\n[input]\ncolor = "grey"', "input.color: input should be 'rgb' or 'bgr'"),
        ('layout = "scrfd"\n[outputs]\nscores = "s"', "it has no output s"),
        ('layout = "scrfd"\n[models]\npnet = "p.onnx"', "the layout scrfd has one network"),
        ('layout = "scrfd"\nmodel = "elsewhere.onnx"', "elsewhere.onnx cannot be read"),
        ('layout = "scrfd"\n[decode]\nstrides = [8, 16]', "does not run as a detector"),
    ],
)
def test_a_description_that_does_not_fit_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    save_answers(tmp_path / "m.onnx", scrfd(), INPUT)
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(UnfitError) as caught:
        detect("scrfd", tmp_path / "m.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["scrfd", "retinaface", "yunet", "s3fd", "resnet-ssd"])
def test_another_network_is_unfit(tmp_path: Path, name: str) -> None:
    path = save_answers(tmp_path / "m.onnx", {"y": zeros(1, 5)}, INPUT)
    with pytest.raises(
        UnfitError, match=f"does not run as a detector of the layout {name}: it has no output"
    ):
        detect(name, path)


def test_pictures_in_one_batch_get_their_own_faces(tmp_path: Path) -> None:
    # A free batch: two pictures of one size are run together where the device has room for two.
    answers = retinaface()
    twice = {name: np.concatenate([value, value]) for name, value in answers.items()}
    twice["conf"][1] = (1, 0)
    save_answers(tmp_path / "m.onnx", twice, {"input": [2, 3, 64, 96]})
    detector = open_detector("retinaface", tmp_path / "m.onnx", device="cpu", threads=1)
    first, second, third = detector.detect([PICTURE, PICTURE, PICTURE])
    assert (len(first), len(second), len(third)) == (1, 0, 1)
