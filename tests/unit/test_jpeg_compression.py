"""How a JPEG was compressed, by its header; Pillow writes the files."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from common.images import decode_reduced, probe
from common.jpeg_compression import JpegCompression
from tests.bad_images import encoded, photograph

# Table K.1 of ITU-T T.81 begins so; at quality 50 encoders write it as it is.
FIRST_ROW = [16, 11, 10, 16, 24, 40, 51, 61]


def compression_of(mode: str = "RGB", **options: Any) -> JpegCompression | None:
    return probe(encoded(photograph().convert(mode), "JPEG", **options)).compression


def test_at_quality_50_the_table_is_the_standards() -> None:
    data = encoded(photograph(), "JPEG", quality=50)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.quantization[0][:8] == FIRST_ROW
    assert compression_of(quality=50) == JpegCompression(50, (2, 2), 1)


@pytest.mark.parametrize("quality", range(1, 101))
def test_every_quality_is_read_exactly_and_the_best_ones_show_nothing(quality: int) -> None:
    found = compression_of(quality=quality)
    assert (found.quality if found else None) == (quality if quality <= 93 else None)


@pytest.mark.parametrize(
    ("subsampling", "step_wh"), [("4:4:4", (1, 1)), ("4:2:2", (2, 1)), ("4:2:0", (2, 2))]
)
@pytest.mark.parametrize("progressive", [False, True])
def test_the_step_of_colour_is_that_of_the_file(
    subsampling: str, step_wh: tuple[int, int], progressive: bool
) -> None:
    found = compression_of(quality=60, subsampling=subsampling, progressive=progressive)
    assert found == JpegCompression(60, step_wh, 1)


def test_a_grey_jpeg_has_no_colour_to_halve() -> None:
    assert compression_of("L", quality=40) == JpegCompression(40, (1, 1), 1)


def test_tables_of_another_scale_are_the_nearest_of_it() -> None:
    # Twice the standard's numbers are its scale of 200 %, which is quality 25; one number off changes nothing.
    with Image.open(io.BytesIO(encoded(photograph(), "JPEG", quality=25))) as picture:
        tables = [list(table) for table in picture.quantization.values()]
    assert tables[0][:8] == [2 * number for number in FIRST_ROW]
    tables[0][5] += 9
    assert compression_of(qtables=tables) == JpegCompression(25, (2, 2), 1)
    assert compression_of(qtables=[[1] * 64, [1] * 64]) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_way_the_pixels_were_turned_is_kept(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert compression_of(quality=70, exif=exif) == JpegCompression(70, (2, 2), orientation)


def test_what_is_no_jpeg_in_grey_or_ycbcr_has_no_compression() -> None:
    picture = photograph()
    for name, options in (
        ("PNG", {}),
        ("WEBP", {"quality": 30}),
        ("BMP", {}),
        ("TIFF", {"compression": "jpeg"}),
    ):
        assert probe(encoded(picture, name, **options)).compression is None
    assert compression_of("CMYK", quality=30) is None
    assert compression_of(quality=30, keep_rgb=True) is None


def test_two_pictures_in_one_file_are_read_by_the_first() -> None:
    data = encoded(photograph(), "MPO", save_all=True, append_images=[photograph()], quality=35)
    assert probe(data).format == "MPO"
    assert probe(data).compression == JpegCompression(35, (2, 2), 1)


def test_a_picture_decoded_at_a_fraction_shows_no_blocks_of_its_file() -> None:
    data = encoded(photograph(640, 480), "JPEG", quality=30)
    assert decode_reduced(data, None).compression == JpegCompression(30, (2, 2), 1)
    reduced = decode_reduced(data, 160)
    assert (reduced.factor, reduced.compression) == (4, None)


def test_a_frame_header_without_its_components_is_no_error_of_the_header() -> None:
    data = bytearray(encoded(photograph(), "JPEG", quality=35))
    at = data.index(b"\xff\xc0") + 2
    assert data[at : at + 2] == b"\x00\x11"
    data[at + 1] = 8  # its length: up to the number of components, which stays 3
    assert probe(bytes(data)).compression is None
