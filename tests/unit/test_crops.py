"""Crop styles: the matrices of `spec/pipeline.md`, and pixels that land where the matrices say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.errors import UsageError
from common.styles import ALL_STYLES, CROP_STYLES, buffalo_scale, check_side, expand_styles
from workers.crops import STYLES, crop, matrix_for, target_points

FIVE = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float64)
THREE = np.array([[88, 92], [122, 91], [106, 150]], np.float64)
NO_POINTS = np.empty((0, 2))

BUFFALO = [
    (
        [(30, 40), (70, 40), (50, 60), (35, 80), (65, 80)],
        [[0.971891579, 0.005394737, 7.107896842], [-0.005394737, 0.971891579, 13.857022105]],
    ),
    (
        [(120.5, 98.25), (171, 110.75), (139.25, 136.5), (113, 158), (155.5, 169.25)],
        [[0.656868282, 0.146798513, -55.588609224], [-0.146798513, 0.656868282, 4.048924727]],
    ),
    (
        [(210, 150), (232, 149), (240, 180), (214, 205), (231, 206)],
        [[0.767403845, -0.011816375, -114.843351859], [0.011816375, 0.767403845, -67.360515374]],
    ),
]
OPENFACE = {
    "original_cropping": [
        [0.840661385, 0.002534861, -33.467493523],
        [0.015356458, 1.10101704, -82.714888018],
    ],
    "scale_shift": [[0.891215561, -0.002623546, -38.1244807], [0.002623546, 0.891215561, -65.3730567]],
    "buffalo_loose": [[0.681517783, -0.002006241, -15.977544178], [0.002006241, 0.681517783, -11.614690505]],
}


@pytest.mark.parametrize(("points", "expected"), BUFFALO)
def test_buffalo_has_the_matrices_of_the_table(points: object, expected: object) -> None:
    matrix = matrix_for("buffalo", np.array(points, np.float64), NO_POINTS, 112)
    np.testing.assert_allclose(matrix, expected, atol=1e-7)


def test_buffalo_at_128_keeps_the_linear_part_and_shifts_by_eight() -> None:
    matrix = matrix_for("buffalo", FIVE, NO_POINTS, 128)
    np.testing.assert_allclose(matrix[:, :2], np.array(BUFFALO[0][1])[:, :2], atol=1e-7)
    np.testing.assert_allclose(matrix[:, 2], [15.107896842, 13.857022105], atol=1e-7)


def test_buffalo_at_224_is_twice_the_matrix_at_112() -> None:
    matrix = matrix_for("buffalo", FIVE, NO_POINTS, 224)
    np.testing.assert_allclose(matrix, 2 * np.array(BUFFALO[0][1]), atol=1e-6)


@pytest.mark.parametrize(("style", "expected"), OPENFACE.items())
def test_openface_styles_have_the_matrices_of_the_table(style: str, expected: object) -> None:
    # 1e-4 as the spec says: its numbers for the affine style went through single precision.
    np.testing.assert_allclose(matrix_for(style, NO_POINTS, THREE, 112), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "expected"),
    [(112, (1.0, 0.0)), (224, (2.0, 0.0)), (128, (1.0, 8.0)), (256, (2.0, 16.0)), (896, (8.0, 0.0))],
)
def test_buffalo_tries_multiples_of_112_before_128(side: int, expected: tuple[float, float]) -> None:
    assert buffalo_scale(side) == expected


@pytest.mark.parametrize("side", [100, 113, 160, 0, -112, 1])
def test_buffalo_refuses_other_sides(side: int) -> None:
    with pytest.raises(UsageError, match="multiple of 112 or 128"):
        buffalo_scale(side)


def test_other_styles_take_any_side() -> None:
    check_side(["original_cropping", "scale_shift", "buffalo_loose"], 100)
    with pytest.raises(UsageError, match=r"buffalo.*got 100"):
        check_side(ALL_STYLES, 100)


@pytest.mark.parametrize("side", [0, -5, 100_000])
def test_a_side_that_cannot_be_cut_is_a_usage_error(side: int) -> None:
    with pytest.raises(UsageError, match="crop-size"):
        check_side(["scale_shift"], side)


def test_all_means_three_styles_for_good() -> None:
    assert expand_styles(["all"]) == ("buffalo", "original_cropping", "scale_shift")


def test_styles_are_named_once_in_a_fixed_order() -> None:
    assert expand_styles(["buffalo_loose", "scale_shift", "all"]) == CROP_STYLES
    assert expand_styles([]) == ()


def test_an_unknown_style_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'round'"):
        expand_styles(["round"])


def test_the_table_has_a_row_for_every_name() -> None:
    assert set(STYLES) == set(CROP_STYLES)


@pytest.mark.parametrize("style", CROP_STYLES)
def test_a_dot_on_a_landmark_lands_on_the_template(style: str) -> None:
    points5 = np.array([[120, 100], [172, 112], [140, 136], [112, 158], [156, 170]], np.float64)
    points3 = np.array([[128, 102], [158, 108], [134, 160]], np.float64)
    # The exact affine style hits its points; least squares hit them as far as the matrix says.
    matrix = matrix_for(style, points5, points3, 224)
    for x, y in points5 if style == "buffalo" else points3:
        image = np.zeros((300, 300, 3), np.uint8)
        cv2.circle(image, (int(x), int(y)), 4, (255, 255, 255), -1)
        brightness = crop(image, matrix, 224, "black")[:, :, 0].astype(np.float64)
        ys, xs = np.mgrid[0:224, 0:224]
        centre = [(xs * brightness).sum() / brightness.sum(), (ys * brightness).sum() / brightness.sum()]
        np.testing.assert_allclose(centre, matrix[:, :2] @ [x, y] + matrix[:, 2], atol=0.3)


def test_an_affine_crop_puts_landmarks_on_the_template_itself() -> None:
    # (0.363784947, 0.177946862) * 112, by hand
    np.testing.assert_allclose(target_points("original_cropping", 112)[0], [40.743914, 19.930049], atol=1e-5)
    matrix = matrix_for("original_cropping", NO_POINTS, THREE, 112)
    landed = THREE @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(landed, target_points("original_cropping", 112), atol=1e-9)


def test_a_crop_is_black_outside_the_image() -> None:
    image = np.full((50, 50, 3), 200, np.uint8)
    shifted = np.array([[1.0, 0, 20], [0, 1.0, 30]])  # image pixel (0, 0) lands on (20, 30)
    result = crop(image, shifted, 60, "black")
    assert result.shape == (60, 60, 3)
    assert (result[:30] == 0).all()
    assert (result[:, :20] == 0).all()
    assert (result[30:, 20:] == 200).all()


def test_a_crop_can_mirror_the_image_at_its_edge() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    image[:, :, 0] = np.arange(10) * 10
    result = crop(image, np.array([[1.0, 0, 4], [0, 1.0, 0]]), 10, "reflect")
    # three pixels over the left edge: ... 20 10 0 | 0 10 20
    assert result[5, :, 0].tolist() == [30, 20, 10, 0, 0, 10, 20, 30, 40, 50]


def test_only_the_loose_style_mirrors() -> None:
    assert {name for name, row in STYLES.items() if row.border == "reflect"} == {"buffalo_loose"}


def test_a_crop_wholly_outside_is_black() -> None:
    image = np.full((50, 50, 3), 200, np.uint8)
    assert not crop(image, np.array([[1.0, 0, 500], [0, 1.0, 0]]), 40, "black").any()


def test_a_map_is_cut_like_an_image() -> None:
    alpha = np.full((50, 50), 255, np.uint8)
    assert crop(alpha, np.eye(2, 3), 40, "black").tolist() == [[255] * 40] * 40


def test_a_crop_takes_in_between_pixels_linearly() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:, 2:] = 100
    result = crop(image, np.array([[1.0, 0, 0.5], [0, 1.0, 0]]), 4, "black")
    assert result[1, 2].tolist() == [50, 50, 50]


def test_an_image_longer_than_opencv_can_warp_is_cropped_all_the_same() -> None:
    image = np.zeros((12, 40_000, 3), np.uint8)
    image[:, 35_000:35_004] = 250
    shifted = np.array([[1.0, 0, -34_998], [0, 1.0, 0]])
    result = crop(image, shifted, 12, "black")
    assert result[5, :, 0].tolist() == [0, 0, 250, 250, 250, 250, 0, 0, 0, 0, 0, 0]
    assert not crop(image, np.array([[1.0, 0, 500], [0, 1.0, 0]]), 12, "black").any()


@pytest.mark.parametrize("shift", [-39_995.0, 6.0, -20_000.5])
def test_a_long_image_is_mirrored_as_a_short_one_is(shift: float) -> None:
    image = np.random.default_rng(1).integers(0, 255, (12, 40_000, 3)).astype(np.uint8)
    start = 0 if shift > 0 else 40_000 - 30 if shift < -39_000 else 19_990
    short = image[:, start : start + 30]
    matrix = np.array([[1.0, 0, shift], [0, 1.0, 0]])
    near = np.array([[1.0, 0, shift + start], [0, 1.0, 0]])
    np.testing.assert_array_equal(crop(image, matrix, 12, "reflect"), crop(short, near, 12, "reflect"))
