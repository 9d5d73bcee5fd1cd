"""Faces that are left without a mask, and why."""

from __future__ import annotations

import numpy as np
import pytest

from common.arrays import FloatArray
from common.errors import UndrawableFace
from tests.unit.test_masks_mesh import BLUE, turned_face
from workers.masks.draw import paint
from workers.masks.frame import FaceFrame, read_frame
from workers.masks.judge import judge_landmarks, points_apart


def _refusal(landmarks: FloatArray, size_wh: tuple[int, int] = (200, 200)) -> str:
    """Return the reason for which a face is not drawn, no pixel being touched; or `drawn`."""
    image = np.full((size_wh[1], size_wh[0], 3), 150, dtype=np.uint8)
    alpha = np.zeros(image.shape[:2], dtype=np.uint8)
    try:
        paint(image, alpha, landmarks, BLUE, np.random.default_rng(0))
    except UndrawableFace as face:
        assert (image == 150).all()
        assert not alpha.any()
        return face.reason
    assert alpha.any()
    return "drawn"


def test_a_face_of_a_few_pixels_is_too_small() -> None:
    assert _refusal(turned_face(4, (100, 100))) == "too-small"
    assert _refusal(np.full((68, 2), 100.0)) == "too-small"
    assert _refusal(turned_face(7, (100, 100))) == "drawn"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_points_that_are_no_numbers_are_unsure(value: float) -> None:
    face = turned_face(40, (100, 100))
    face[12, 0] = value
    assert _refusal(face) == "landmarks-unsure"


def test_a_face_upside_down_within_itself_is_unsure() -> None:
    face = turned_face(40, (100, 100))
    # The mouth where the brows were.
    face[48:] -= [0, 70]
    assert _refusal(face) == "landmarks-unsure"


def test_a_mirrored_face_is_unsure() -> None:
    face = turned_face(40, (100, 100))
    face[:, 0] = 200 - face[:, 0]
    assert _refusal(face) == "landmarks-unsure"


def test_a_jaw_collapsed_to_a_point_or_a_line_is_unsure() -> None:
    face = turned_face(40, (100, 100))
    point, line = face.copy(), face.copy()
    point[:17] = face[8]
    line[:17, 0] = 100
    assert _refusal(point) == "landmarks-unsure"
    assert _refusal(line) == "landmarks-unsure"


def test_points_scattered_by_half_a_face_are_unsure() -> None:
    face = turned_face(40, (100, 100))
    refusals = [
        _refusal(face + np.random.default_rng(seed).uniform(-60, 60, (68, 2))) == "landmarks-unsure"
        for seed in range(20)
    ]
    assert sum(refusals) >= 15


def test_a_mask_outside_the_picture_is_out_of_frame() -> None:
    assert _refusal(turned_face(40, (-60, 100))) == "out-of-frame"
    assert _refusal(turned_face(40, (100, 250))) == "out-of-frame"
    assert _refusal(turned_face(40, (5000, 5000))) == "out-of-frame"


def test_a_mask_half_in_the_picture_is_drawn() -> None:
    assert _refusal(turned_face(40, (0, 100))) == "drawn"
    assert _refusal(turned_face(40, (100, 170))) == "drawn"


@pytest.mark.parametrize("yaw_deg", [-75, -60, -45, -20, 0, 20, 45, 60, 75])
@pytest.mark.parametrize("pitch_deg", [-25, 0, 25])
def test_turned_and_nodding_heads_are_drawn(yaw_deg: float, pitch_deg: float) -> None:
    assert _refusal(turned_face(40, (100, 100), yaw_deg, pitch_deg, roll_deg=10)) == "drawn"


def test_landmarks_of_another_shape_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match=r"\(B, 68, 2\)"):
        _refusal(np.zeros((5, 2)))


def test_five_points_that_agree_pass_and_how_far_they_are_apart_is_told() -> None:
    face = turned_face(40, (100, 100))
    five = np.stack([face[36:42].mean(0), face[42:48].mean(0), face[30], face[48], face[54]])
    unit = read_frame(face).unit
    # None, and all five 8 pixels aside, where the eyes are 40 apart.
    moved = [five, None, five + np.array([8, 0])]
    apart = points_apart(np.array([face] * 3), moved, [unit] * 3)
    np.testing.assert_allclose(apart, [0, 0, 0.2], atol=0.005)
    judged = judge_landmarks(np.array([face] * 3), moved)
    assert [one.unit for one in judged if isinstance(one, FaceFrame)] == [unit] * 3


def test_five_points_that_disagree_are_unsure() -> None:
    face = turned_face(40, (100, 100))
    five = np.stack([face[36:42].mean(0), face[42:48].mean(0), face[30], face[48], face[54]])
    for other in (five + np.array([0, 14]), five[[1, 0, 2, 4, 3]], five * np.nan):
        good, refused = judge_landmarks(np.array([face] * 2), [five, other])
        assert isinstance(good, FaceFrame)
        assert isinstance(refused, UndrawableFace) and refused.reason == "landmarks-unsure"
