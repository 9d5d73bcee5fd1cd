"""Encoding by name, thumbnails, colours; Pillow, tifffile and colorsys are the independent readers."""

from __future__ import annotations

import colorsys
import io
import json
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from common.color_spaces import convert_batch
from common.colors import hex_to_rgb, rgb_to_hex
from common.encoding import encode
from common.errors import UsageError
from common.thumbnails import make_thumbnail

RNG = np.random.default_rng(5)
PIXELS = RNG.integers(0, 256, (20, 30, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("a.jpg", "JPEG"),
        ("a.JPEG", "JPEG"),
        ("a.png", "PNG"),
        ("folder.d/a.PNG", "PNG"),
        ("a.bmp", "BMP"),
        ("a.webp", "WEBP"),
        ("a.tif", "TIFF"),
        ("a.TIFF", "TIFF"),
    ],
)
def test_the_ending_decides_the_format(name: str, format_name: str) -> None:
    data = encode(PIXELS, name)
    assert data == encode(PIXELS, name), "the same pixels give the same bytes"
    with Image.open(io.BytesIO(data)) as found:
        assert (found.format, found.size) == (format_name, (30, 20))
        if format_name in ("PNG", "BMP", "TIFF"):
            assert np.array_equal(np.asarray(found.convert("RGB"))[:, :, ::-1], PIXELS)


def test_options_reach_the_encoder() -> None:
    assert len(encode(PIXELS, "a.jpg", quality=30)) < len(encode(PIXELS, "a.jpg"))
    assert len(encode(PIXELS, "a.webp", quality=30)) < len(encode(PIXELS, "a.webp"))
    flat = np.tile(np.arange(64, dtype=np.uint8)[:, None, None], (1, 64, 3))
    assert len(encode(flat, "a.png", compression=9)) < len(encode(flat, "a.png"))
    with Image.open(io.BytesIO(encode(PIXELS, "a.webp", quality=101))) as found:
        assert np.array_equal(np.asarray(found)[:, :, ::-1], PIXELS)


def test_a_record_goes_into_png_and_tiff_and_is_an_error_elsewhere() -> None:
    with Image.open(io.BytesIO(encode(PIXELS, "a.PNG", record={"user": {}}))) as found:
        assert json.loads(found.text["maskmill"]) == {"maskmill": 1, "user": {}}  # type: ignore[attr-defined]
    with tifffile.TiffFile(io.BytesIO(encode(PIXELS, "a.tif", record={"user": {}}))) as read:
        assert json.loads(read.pages.first.description) == {"maskmill": 1, "user": {}}
        assert np.array_equal(read.asarray()[:, :, ::-1], PIXELS)
    for name in ("a.jpg", "a.bmp", "a.webp"):
        with pytest.raises(UsageError, match="a record needs a file"):
            encode(PIXELS, name, record={})
    for name in ("a.gif", "png", ""):
        with pytest.raises(UsageError, match="must end in"):
            encode(PIXELS, name)


# --- thumbnails ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(400, 300), (300, 400), (96, 96), (20, 30), (1, 1), (97, 5000)])
def test_a_thumbnail_is_a_square_jpeg_of_96(shape: tuple[int, int]) -> None:
    with Image.open(io.BytesIO(make_thumbnail(np.full((*shape, 3), 128, np.uint8)))) as found:
        assert (found.format, found.size) == ("JPEG", (96, 96))


def test_a_thumbnail_shows_the_middle_by_areas_with_quality_60() -> None:
    wide = np.zeros((192, 384, 3), np.uint8)
    wide[:, :96] = wide[:, 288:] = 255  # what is cut off
    wide[::2, 96:288] = 200  # lines of one pixel become their mean
    with Image.open(io.BytesIO(make_thumbnail(wide))) as found:
        assert abs(np.asarray(found).astype(int) - 100).max() <= 2
        tables = found.quantization  # type: ignore[attr-defined]
    # The standard's first luminance value, 16, scaled for quality 60: (16 * (200 - 120) + 50) // 100.
    assert tables[0][0] == 13


def test_a_small_picture_grows_smoothly() -> None:
    small = np.zeros((2, 2, 3), np.uint8)
    small[:, 1] = 255
    with Image.open(io.BytesIO(make_thumbnail(small))) as found:
        row = np.asarray(found.convert("L"))[48].astype(int)
    assert len(np.unique(row // 8)) > 10, "not two plain halves"
    assert row[0] < 10
    assert row[-1] > 245


# --- colours ------------------------------------------------------------------------------------------


def test_hex_and_rgb() -> None:
    assert hex_to_rgb("#0d25ac") == (13, 37, 172)
    assert rgb_to_hex((13, 37, 172)) == "#0d25ac"
    assert hex_to_rgb("#fff") == (255, 255, 255)
    assert hex_to_rgb("0D25AC") == (13, 37, 172)
    assert rgb_to_hex(np.array([0, 10, 255])) == "#000aff"


@pytest.mark.parametrize("text", ["", "#", "#ff", "#ffff", "#gggggg", "red", "#0d25acff"])
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        hex_to_rgb(text)


@pytest.mark.parametrize("rgb", [(1, 2), (1, 2, 3, 4), (1, 2, 256), (-1, 2, 3), (0.5, 1, 2)])
def test_numbers_that_are_no_colour_are_refused(rgb: Any) -> None:
    with pytest.raises(UsageError):
        rgb_to_hex(rgb)


def test_a_batch_is_converted_in_one_call_with_the_same_shape() -> None:
    batch = RNG.integers(0, 256, (5, 7, 9, 3), np.uint8)
    before = batch.copy()
    assert np.array_equal(convert_batch(batch, "bgr", "rgb"), batch[..., ::-1])
    hsv = convert_batch(batch, "bgr", "hsv")
    assert (hsv.shape, hsv.dtype) == (batch.shape, np.uint8)
    blue, green, red = (batch[3, 2, 1] / 255).tolist()
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    assert np.allclose(hsv[3, 2, 1], [hue * 180, saturation * 255, value * 255], atol=1)
    assert np.array_equal(batch, before)


def test_floats_no_pictures_and_two_far_spaces() -> None:
    floats = RNG.random((2, 3, 4, 3)).astype(np.float32)
    there = convert_batch(floats, "rgb", "lab")
    assert there.dtype == np.float32
    assert np.allclose(convert_batch(there, "lab", "rgb"), floats, atol=5e-3)
    over_bgr = convert_batch(convert_batch(there, "lab", "bgr"), "bgr", "hsv")
    assert np.array_equal(convert_batch(there, "lab", "hsv"), over_bgr)
    assert convert_batch(np.zeros((0, 4, 4, 3), np.uint8), "bgr", "hsv").shape == (0, 4, 4, 3)
    same = convert_batch(floats, "rgb", "rgb")
    assert np.array_equal(same, floats)
    assert same is not floats


def test_what_is_no_batch_is_refused() -> None:
    for images in (np.zeros((4, 4, 3), np.uint8), np.zeros((1, 4, 4, 4), np.uint8), np.zeros((1, 4, 4, 3))):
        with pytest.raises(ValueError):
            convert_batch(images, "bgr", "rgb")
    with pytest.raises(UsageError, match="colour space"):
        convert_batch(np.zeros((1, 4, 4, 3), np.uint8), "bgr", "cmyk")  # type: ignore[arg-type]
