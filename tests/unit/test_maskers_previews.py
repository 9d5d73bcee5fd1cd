"""Previews: every number of the spec, on arrays small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from workers.maskers.maps import region_matrix
from workers.maskers.previews import on_face, preview, sharpened

IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def flat(value: int) -> np.ndarray:
    return np.full((128, 128), value, np.uint8)


@pytest.mark.parametrize(
    ("value", "threshold", "expected"),
    [
        # 4 * 2.55 = 10.2 and 244.8
        (10, 4, 0),
        (11, 4, 11),
        (244, 4, 244),
        (245, 4, 255),
        # 20 * 2.55 = 51: neither limit is beyond itself
        (50, 20, 0),
        (51, 20, 51),
        (204, 20, 204),
        (205, 20, 255),
        # 50 * 2.55 = 127.5
        (127, 50, 0),
        (128, 50, 255),
        (1, 0, 1),
        (254, 0, 254),
    ],
)
def test_values_near_an_end_go_to_it(value: int, threshold: int, expected: int) -> None:
    assert np.unique(sharpened(flat(value), threshold, 0)).tolist() == [expected]


def test_the_argument_stays() -> None:
    picture = flat(3)
    sharpened(picture, 4, 3)
    assert picture[0, 0] == 3


@pytest.mark.parametrize(("kernel", "reach"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (7, 3), (8, 4)])
def test_the_blur_reaches_half_its_odd_kernel(kernel: int, reach: int) -> None:
    picture = flat(0)
    picture[:, 64:] = 255
    row = sharpened(picture, 0, kernel)[64]
    assert (row[: 64 - reach] == 0).all() and (row[64 + reach :] == 255).all()
    assert ((row > 0) & (row < 255)).sum() == 2 * reach


def test_the_kernel_of_three_is_a_quarter_a_half_a_quarter() -> None:
    picture = flat(0)
    picture[:, 64:] = 200
    row = sharpened(picture, 0, 3)[64]
    assert row[62:66].tolist() == [0, 50, 150, 200]


def test_the_blur_comes_after_the_threshold() -> None:
    picture = flat(0)
    picture[:, 64:] = 10
    assert not sharpened(picture, 4, 3).any()
    picture[:, 64:] = 250
    # 255 after the threshold: 63.75 and 191.25; a threshold after the blur would leave only 0 and 255.
    assert sharpened(picture, 4, 3)[64][63:65].tolist() == [64, 191]


def test_the_map_of_the_faces_square_is_enlarged_in_place() -> None:
    """Pillow's cubic differs from OpenCV's (-0.5 against -0.75), but not where the map is flat."""
    picture = flat(0)
    picture[32:96, 16:64] = 255
    large = on_face(picture, region_matrix(IDENTITY, 128), IDENTITY, 256)
    assert large.shape == (256, 256)
    other = np.asarray(Image.fromarray(picture).resize((256, 256), Image.Resampling.BICUBIC))
    assert np.abs(large.astype(int) - other).max() < 30
    assert np.array_equal(large > 127, other > 127)


def test_the_map_of_a_larger_region_falls_on_the_same_place() -> None:
    wide = np.zeros((128, 128), np.uint8)
    wide[48:80, 40:64] = 255
    # At twice the region a map pixel is 4 face pixels: columns 40..63 are 40*4-128 = 32 to 127.
    shown = on_face(wide, region_matrix(IDENTITY, 128, 2.0), IDENTITY, 256)
    ys, xs = np.nonzero(shown > 127)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == pytest.approx((32, 127, 64, 191), abs=1)


def test_face_masked_face_and_map_stand_side_by_side() -> None:
    rng = np.random.default_rng(1)
    face = rng.integers(0, 256, (256, 256, 3), np.uint8)
    shown = rng.integers(0, 256, (256, 256), np.uint8)
    before = face.copy(), shown.copy()
    tiles = preview(face, shown)
    assert tiles.shape == (256, 768, 3) and tiles.dtype == np.uint8
    assert np.array_equal(face, before[0]) and np.array_equal(shown, before[1])
    inner = slice(1, 255)
    assert np.array_equal(tiles[inner, 1:255], face[inner, inner])
    for y, x, channel in ((1, 1, 0), (100, 200, 1), (254, 254, 2)):
        assert tiles[y, 256 + x, channel] == int(face[y, x, channel]) * int(shown[y, x]) // 255
        assert tiles[y, 512 + x, channel] == shown[y, x]
    white = np.ones((256, 256), bool)
    white[inner, inner] = False
    for tile in range(3):
        assert (tiles[:, 256 * tile : 256 * (tile + 1)][white] == 255).all()
