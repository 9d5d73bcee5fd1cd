import math

import numpy as np
import pytest

from workers.landmarks.points import WFLW_FIVE, WFLW_TO_68, aside, five_points


def test_the_five_points_by_hand() -> None:
    points = np.zeros((1, 68, 2))
    points[0, 36:42] = [[10, 20], [12, 18], [14, 18], [16, 20], [14, 22], [12, 22]]
    points[0, 42:48] = [[30, 21], [32, 19], [34, 19], [36, 21], [34, 23], [32, 23]]
    points[0, [30, 48, 54]] = [[22, 30], [15, 40], [31, 41]]
    assert five_points(points).tolist() == [[[13, 20], [33, 21], [22, 30], [15, 40], [31, 41]]]
    assert five_points(points[0]).shape == (5, 2)
    assert five_points(np.zeros((0, 68, 2))).shape == (0, 5, 2)


@pytest.mark.parametrize(("nose", "expected"), [((5, 4), 0.0), ((8, 4), 0.3), ((2, 9), 0.3), ((13, 0), 0.8)])
@pytest.mark.parametrize("tilt", [0, 35, 180])
def test_a_face_is_turned_as_far_as_its_nose_lies_aside(
    nose: tuple[int, int], expected: float, tilt: int
) -> None:
    cosine, sine = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    points = np.array([[0, 0], [10, 0], nose, [3, 8], [7, 8]]) @ np.array([[cosine, sine], [-sine, cosine]])
    assert aside(7 * points + 3) == pytest.approx(expected)


def test_eyes_in_one_place_are_turned_away_altogether() -> None:
    assert aside(np.zeros((5, 2))) == math.inf


def test_98_points_give_68_different_ones() -> None:
    assert len(WFLW_TO_68) == 68
    assert len(set(WFLW_TO_68.tolist())) == 68
    assert (np.sort(WFLW_TO_68) >= 0).all()
    assert (np.sort(WFLW_TO_68) < 96).all()


def test_the_points_that_crops_use_are_those_of_the_specification() -> None:
    # Inner corners of the eyes, centre of the lower lip; ends and middle of the contour; nose and mouth.
    assert WFLW_TO_68[[39, 42, 57]].tolist() == [64, 68, 85]
    assert WFLW_TO_68[[0, 8, 16]].tolist() == [0, 16, 32]
    assert WFLW_TO_68[[30, 48, 54]].tolist() == WFLW_FIVE[2:].tolist() == [54, 76, 82]
