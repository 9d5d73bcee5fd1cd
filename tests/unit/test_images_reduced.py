"""Decoding at a fraction of the size, and detection on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from common.errors import ImageError
from common.images import decode, decode_reduced
from common.weights import find
from tests.bad_images import encoded
from workers.detectors.base import enlarged, rounded
from workers.detectors.registry import open_detector


def jpeg(width: int, height: int, **options: Any) -> bytes:
    picture = Image.fromarray(data.astronaut()).resize((width, height), Image.Resampling.BICUBIC)
    return encoded(picture, "JPEG", **options)


@pytest.mark.parametrize(
    ("size", "side", "factor"),
    [
        ((640, 480), 640, 1),
        ((1279, 900), 640, 1),
        ((1280, 960), 640, 2),
        ((2559, 31), 640, 2),
        ((2560, 1921), 640, 4),
        ((999, 5121), 640, 8),
        ((300, 300), None, 1),
    ],
)
def test_the_longer_side_stays_at_least_as_long_as_asked(
    size: tuple[int, int], side: int | None, factor: int
) -> None:
    reduced = decode_reduced(jpeg(*size), side)
    assert (reduced.width, reduced.height, reduced.factor) == (*size, factor)
    assert reduced.image_bgr.shape == (-(-size[1] // factor), -(-size[0] // factor), 3)
    assert reduced.image_bgr.flags.c_contiguous


def test_a_reduced_picture_shows_the_means_of_the_whole_one() -> None:
    source = jpeg(1024, 1024, quality=98)
    reduced = decode_reduced(source, 256).image_bgr
    means = decode(source).reshape(256, 4, 256, 4, 3).mean(axis=(1, 3))
    assert np.abs(reduced - means).mean() < 2


def test_a_reduced_picture_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    reduced = decode_reduced(jpeg(801, 400, exif=exif.tobytes()), 400)
    assert (reduced.width, reduced.height, reduced.factor) == (400, 801, 2)
    assert reduced.image_bgr.shape == (401, 200, 3)


def test_other_formats_and_kinds_are_decoded_whole() -> None:
    picture = Image.fromarray(data.astronaut())
    for source in (encoded(picture, "PNG"), encoded(picture.convert("CMYK"), "JPEG")):
        assert decode_reduced(source, 64).factor == 1


def test_a_cut_file_fails_in_the_same_way() -> None:
    source = jpeg(1200, 1200)
    with pytest.raises(ImageError) as caught:
        decode_reduced(source[: len(source) // 2], 100)
    assert caught.value.code == "truncated"


def test_faces_of_a_reduced_picture_lie_where_those_of_the_whole_one_do() -> None:
    detector = open_detector("centerface", find("centerface"), device="cpu", threads=1)
    large = jpeg(2049, 2047)
    reduced = decode_reduced(large, 640)
    assert reduced.factor == 2
    on_reduced = enlarged(detector.detect([reduced.image_bgr])[0], reduced.factor, (2049, 2047))
    (on_whole,) = detector.detect([decode(large)])
    assert len(on_reduced) == len(on_whole) == 1
    # A pixel of what the network sees is 3.2 pixels of the picture.
    np.testing.assert_allclose(on_reduced.boxes_xyxy, on_whole.boxes_xyxy, atol=5)
    assert on_reduced.points5 is not None
    assert on_whole.points5 is not None
    np.testing.assert_allclose(on_reduced.points5, on_whole.points5, atol=5)


def test_an_enlarged_box_ends_at_the_border() -> None:
    found = rounded(np.array([[1.5, 2.0, 51.0, 40.5]]), np.array([0.9]), None)
    np.testing.assert_array_equal(enlarged(found, 2, (101, 90)).boxes_xyxy, [[3, 4, 101, 81]])
