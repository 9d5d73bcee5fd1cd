import numpy as np
import pytest

from workers.landmarks.patches import FACE, MARGIN, SIDE, cut_patch
from workers.landmarks.squares import Square, fit_square, rotation, square_from_box, square_from_points

MODEL = np.array([[0.3, 0.3], [0.7, 0.3], [0.5, 0.55], [0.35, 0.77], [0.65, 0.77]])


def placed(centre: tuple[float, float], side: float, degrees: float) -> np.ndarray:
    """Return the model's points in a square of the image, turned about its centre."""
    return (MODEL - 0.5) * side @ rotation(np.radians(degrees)).T + np.array(centre)


@pytest.mark.parametrize("degrees", [0, 3, -20, 45, -90, 120])
def test_the_square_of_five_points_is_where_the_model_was_placed(degrees: float) -> None:
    square = square_from_points(placed((120, 80), 60, degrees), MODEL)
    assert square is not None
    assert square.centre_xy == pytest.approx([120, 80])
    assert square.side == pytest.approx(60)
    assert np.degrees(square.roll) == pytest.approx(degrees)


def test_points_in_one_place_give_no_square() -> None:
    assert square_from_points(np.full((5, 2), 7.0), MODEL) is None


def test_the_square_of_a_box_by_hand() -> None:
    # spec/pipeline.md: side 0.968·√(w·h), centre at y + 0.534·h; √(40·90) = 60.
    square = square_from_box(np.array([10.0, 20, 50, 110]))
    assert square.side == pytest.approx(58.08)
    assert square.centre_xy == pytest.approx([30, 68.06])
    assert square.roll == 0


def test_a_square_is_fitted_by_centre_and_spread() -> None:
    assert fit_square(MODEL * 200 + [30, -10], MODEL) == pytest.approx((30, -10, 200))


def test_a_quarter_turn_is_clockwise_in_the_image() -> None:
    assert rotation(np.pi / 2) @ np.array([1, 0]) == pytest.approx([0, 1])


def test_a_patch_and_its_way_back_agree() -> None:
    image = np.zeros((400, 600, 3), dtype=np.uint8)
    image[185:216, 335:366] = 255  # a white spot around (350, 200)
    for side, degrees in ((50.0, 0), (130.0, 25), (900.0, 0), (299.0, -70)):
        patch = cut_patch(image, Square(np.array([330.0, 210]), side, float(np.radians(degrees))))
        ys, xs = np.nonzero(patch.gray > 127)
        spot = patch.to_image(np.array([[xs.mean(), ys.mean()]]))
        assert spot[0] == pytest.approx([350, 200], abs=max(1.0, 0.6 * side / FACE))


def test_the_square_lies_in_the_middle_of_its_patch() -> None:
    patch = cut_patch(np.zeros((9, 9, 3), dtype=np.uint8), Square(np.array([4.0, 4]), 150.0, 0.0))
    assert SIDE == FACE + 2 * MARGIN
    assert patch.to_image(np.array([[(SIDE - 1) / 2] * 2])) == pytest.approx(np.array([[4, 4]]))


@pytest.mark.parametrize("centre", [(0, 0), (60, 40), (-500, -500), (900, 20)])
def test_outside_the_image_a_patch_is_black(centre: tuple[float, float]) -> None:
    patch = cut_patch(
        np.full((40, 60, 3), 200, dtype=np.uint8), Square(np.array(centre, dtype=float), 30.0, 0.0)
    )
    far = patch.to_image(np.array([[x, y] for y in range(SIDE) for x in range(SIDE)], dtype=float))
    outside = ((far < -1) | (far > [60, 40])).any(axis=1).reshape(SIDE, SIDE)
    assert (patch.gray[outside] == 0).all()
    inside = ((far >= 0) & (far <= [59, 39])).all(axis=1).reshape(SIDE, SIDE)
    assert (patch.gray[inside] == 200).all()
