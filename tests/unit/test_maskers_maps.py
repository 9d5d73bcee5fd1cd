"""The region of a map and the way there and back."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from common.ledger.maps import FaceMap
from workers.maskers.maps import face_matrix, pack, project_back, region_matrix, shrink, unpack

POINTS5 = np.array([[120.5, 98.25], [171, 110.75], [139.25, 136.5], [113, 158], [155.5, 169.25]])


def test_the_face_is_the_buffalo_square_of_256_pixels() -> None:
    """The spec's matrix for these points at 112; side 256 is twice that of 128, whose x has 8 more."""
    matrix = face_matrix(POINTS5)
    expected = np.array(
        [[0.656868282, 0.146798513, -55.588609224 + 8], [-0.146798513, 0.656868282, 4.048924727]]
    )
    np.testing.assert_allclose(matrix, 2 * expected, atol=1e-4)


def test_the_map_is_the_face_halved_by_area() -> None:
    """The mean of pixels 2 k and 2 k + 1 lies at 2 k + 1/2: x goes to x / 2 - 1/4."""
    face = np.array([[1.0, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(region_matrix(face, 128), [[0.5, 0, -0.25], [0, 0.5, -0.25]], atol=1e-12)


def test_a_grown_region_has_the_same_centre() -> None:
    face = np.array([[1.0, 0, 0], [0, 1, 0]])
    matrix = region_matrix(face, 128, 2.0)
    np.testing.assert_allclose(matrix @ [127.5, 127.5, 1], [63.5, 63.5], atol=1e-12)
    # Twice as large: its left edge, -0.5 - 128, goes to the edge of the first pixel.
    np.testing.assert_allclose(matrix @ [-128.5, -128.5, 1], [-0.5, -0.5], atol=1e-12)


def test_shrinking_takes_means() -> None:
    picture = np.zeros((256, 256), np.uint8)
    picture[:2, :2] = [[0, 100], [100, 200]]
    assert shrink(picture)[0, 0] == 100
    assert shrink(picture).shape == (128, 128)
    assert shrink(np.full((64, 64), 7, np.uint8)).tolist() == np.full((128, 128), 7).tolist()


def test_a_packed_map_is_zlib_of_its_rows() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8)
    matrix = np.array([[0.1, 0.2, 3.0], [-0.2, 0.1, 4.5]])
    stored = pack(7, picture, matrix)
    assert zlib.decompress(stored.map) == picture.tobytes()
    assert (stored.face_id, stored.side) == (7, 128)
    again, back = unpack(stored)
    assert np.array_equal(again, picture)
    assert np.array_equal(back, matrix)


@pytest.mark.parametrize("content", [b"no zlib", zlib.compress(b"too short")])
def test_bytes_that_are_no_map_are_named(content: bytes) -> None:
    with pytest.raises(ValueError, match="face 7 cannot be unpacked"):
        unpack(FaceMap(7, 128, content, [[1, 0, 0], [0, 1, 0]]))


def test_a_map_laid_back_meets_its_image() -> None:
    """A square of 50 map pixels at half size is one of 100 image pixels, where the matrix says."""
    picture = np.zeros((128, 128), np.uint8)
    picture[20:70, 30:80] = 255
    back = project_back(picture, np.array([[0.5, 0, -10], [0, 0.5, -20.0]]), (300, 200))
    assert back.shape == (200, 300)
    # x_map = x / 2 - 10: 30..79 is 80..178 in the image; rows 80..178.
    ys, xs = np.nonzero(back > 127)
    assert (xs.min(), xs.max()) == pytest.approx((80, 178), abs=1)
    assert (ys.min(), ys.max()) == pytest.approx((80, 178), abs=1)
