"""Decoding and encoding; Pillow, numbers by hand and PNGs built by hand are the independent readers."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from common.errors import ImageError
from common.images import decode, encode_jpeg, encode_png, probe
from common.pixels import spread_unit, to_bgr8
from tests.bad_images import CORPUS, encoded, photograph, png_bomb, png_by_hand, png_chunk, write_corpus

FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "TIFF"]
LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "TIFF": {}}
DECODED = ["empty", "unreadable", "truncated", "too-large"]


def bgr(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"))[:, :, ::-1]


def on_white(picture: Image.Image) -> np.ndarray:
    rgba = picture.convert("RGBA")
    return bgr(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba))


def distance(first: np.ndarray, second: np.ndarray) -> int:
    assert first.shape == second.shape
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def code_of(data: bytes, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, **options)
    assert "\n" not in str(caught.value)
    return caught.value.code


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    paths = write_corpus(os.fsencode(tmp_path_factory.mktemp("corpus")))
    files = {name: Path(os.fsdecode(path)) for name, path in paths.items()}
    names = [name for name in files if CORPUS[name].code in (None, *DECODED) and files[name].is_file()]
    return {name: files[name].read_bytes() for name in names}


# --- the corpus ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, entry in CORPUS.items() if entry.code in DECODED])
def test_a_broken_file_ends_with_its_own_error(name: str, corpus: dict[str, bytes]) -> None:
    if name in corpus:  # the loop of links is no file
        assert code_of(corpus[name]) == CORPUS[name].code


@pytest.mark.parametrize("name", [name for name, entry in CORPUS.items() if entry.code is None])
def test_a_rare_picture_is_read_as_three_contiguous_channels(name: str, corpus: dict[str, bytes]) -> None:
    header, image = probe(corpus[name]), decode(corpus[name])
    assert image.dtype == np.uint8
    assert image.shape == (header.height, header.width, 3)
    assert image.flags.c_contiguous
    assert image.flags.writeable


@pytest.mark.parametrize(
    "name", ["png with alpha", "grey png with alpha", "webp with alpha", "tiff with alpha"]
)
def test_alpha_is_flattened_on_white(name: str, corpus: dict[str, bytes]) -> None:
    reference = on_white(Image.open(io.BytesIO(corpus[name])))
    assert distance(decode(corpus[name]), reference) <= 1


@pytest.mark.parametrize(
    "name", ["palette", "palette with transparency", "one bit", "cmyk tiff", "png named jpg"]
)
def test_other_modes_look_as_pillow_shows_them(name: str, corpus: dict[str, bytes]) -> None:
    assert distance(decode(corpus[name]), on_white(Image.open(io.BytesIO(corpus[name])))) == 0


@pytest.mark.parametrize("name", ["cmyk jpeg", "grey jpeg", "progressive jpeg", "jpeg with bytes behind it"])
def test_jpegs_look_as_pillow_shows_them(name: str, corpus: dict[str, bytes]) -> None:
    assert distance(decode(corpus[name]), bgr(Image.open(io.BytesIO(corpus[name])))) <= 4


@pytest.mark.parametrize("name", ["animated webp", "animated png", "tiff of three pages"])
def test_of_an_animation_the_first_frame_is_read(name: str, corpus: dict[str, bytes]) -> None:
    assert probe(corpus[name]).frames == 3
    assert decode(corpus[name])[8, 10].tolist() == [0, 0, 255]  # red comes first


# --- orientation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_exactly_once(file_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"JPEG": {"quality": 100, "subsampling": 0}, **LOSSLESS}[file_format]
    extra: dict[str, Any] = {"tiffinfo": {0x0112: orientation}} if file_format == "TIFF" else {"exif": exif}
    data = encoded(photograph(), file_format, **options, **extra)
    reference = bgr(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert distance(decode(data), reference) <= (6 if file_format == "JPEG" else 0)
    header = probe(data)
    assert header.orientation == orientation
    assert (header.width, header.height) == ((64, 48) if orientation < 5 else (48, 64))


def test_orientation_six_turns_a_quarter_clockwise() -> None:
    picture = Image.new("RGB", (3, 2))
    picture.putpixel((0, 0), (255, 0, 0))  # stored upper left is seen upper right
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decode(encoded(picture, "PNG", exif=exif))
    assert image.shape == (3, 2, 3)
    assert np.argwhere(image[:, :, 2] == 255).tolist() == [[0, 1]]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "CMYK"])
def test_orientation_is_applied_to_every_kind_of_pixel(mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    data = encoded(photograph().convert(mode), "TIFF" if mode == "CMYK" else "PNG", exif=exif)
    assert distance(decode(data), bgr(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))) <= 1


def test_orientation_is_applied_to_sixteen_bits_and_found_behind_the_pixels() -> None:
    samples = np.zeros((2, 3, 3), int)
    samples[0, 0] = 65535
    block = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    data = png_by_hand(samples, depth=16, colour_type=2, behind=png_chunk(b"eXIf", block))
    assert probe(data).orientation == 6
    assert np.argwhere(decode(data)[:, :, 0]).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "exif",
    [b"", b"II*\0\xff\xff\xff\xff", b"garbage", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0"],
)
def test_a_broken_exif_block_means_upright(exif: bytes) -> None:
    data = encoded(photograph(), "JPEG", exif=b"Exif\0\0" + exif)
    assert probe(data).orientation == 1
    assert decode(data).shape == (48, 64, 3)


# --- depth and transparency, by hand --------------------------------------------------------------------


def test_sixteen_bits_are_divided_by_257_and_rounded() -> None:
    samples = np.array([[0, 128, 129, 32767, 32768, 65406, 65407, 65535]])
    image = decode(png_by_hand(samples, depth=16, colour_type=0))
    # 128/257 = .498 and 129/257 = .502; 32767/257 = 127.498; 32768/257 = 127.502; 65406/257 = 254.498
    assert image[0, :, 0].tolist() == [0, 0, 1, 127, 128, 254, 255, 255]
    assert (image[:, :, 0] == image[:, :, 2]).all()


def test_sixteen_bit_channels_come_as_blue_green_red() -> None:
    image = decode(png_by_hand(np.array([[[257 * 10, 257 * 20, 257 * 30]]]), depth=16, colour_type=2))
    assert image.tolist() == [[[30, 20, 10]]]


def test_sixteen_bit_alpha_is_flattened_before_rounding() -> None:
    half = 32768  # 0.5000076: black over white gives 127.498
    image = decode(png_by_hand(np.array([[[0, 65535, 0, half]]]), depth=16, colour_type=6))
    assert image.tolist() == [[[127, 255, 127]]]
    grey = decode(png_by_hand(np.array([[[0, half], [9, 0], [0, 65535]]]), depth=16, colour_type=4))
    assert grey[0, :, 1].tolist() == [127, 255, 0]


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_becomes_white(depth: int) -> None:
    unit = 1 if depth == 8 else 257
    grey = png_by_hand(
        np.array([[7, 8]]) * unit,
        depth=depth,
        colour_type=0,
        extra=png_chunk(b"tRNS", struct.pack(">H", 7 * unit)),
    )
    assert decode(grey)[0, :, 0].tolist() == [255, 8]
    key = png_chunk(b"tRNS", struct.pack(">HHH", unit, 2 * unit, 3 * unit))
    colour = np.array([[[1, 2, 3], [1, 2, 4]]]) * unit
    rgb = png_by_hand(colour, depth=depth, colour_type=2, extra=key)
    assert decode(rgb).tolist() == [[[255, 255, 255], [4, 2, 1]]]


def test_a_palette_entry_may_be_half_transparent() -> None:
    palette = png_chunk(b"PLTE", bytes([0, 0, 0, 200, 100, 50])) + png_chunk(b"tRNS", bytes([128, 255]))
    image = decode(png_by_hand(np.array([[0, 1]]), depth=8, colour_type=3, extra=palette))
    assert image.tolist() == [[[127, 127, 127], [50, 100, 200]]]  # 255·(255 − 128)/255 = 127


def test_a_one_bit_tiff_and_a_white_is_zero_tiff_are_read() -> None:
    bits = photograph().convert("1")
    assert distance(decode(encoded(bits, "TIFF", compression="group4")), bgr(bits)) == 0
    grey = Image.fromarray(np.array([[0, 65535, 257]], np.uint16))
    inverted = encoded(grey, "TIFF", tiffinfo={262: 0})
    assert decode(inverted)[0, :, 0].tolist() == [255, 0, 254]


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_sixteen_bit_colour_tiff_keeps_its_rounding(orientation: int) -> None:
    samples = np.full((2, 3, 3), 0, np.uint16)
    samples[0, 0] = (129, 257 * 9 + 129, 65407)  # OpenCV writes blue green red
    data = with_tiff_orientation(cv2.imencode(".tif", samples)[1].tobytes(), orientation)
    image = decode(data)
    place = (0, 0) if orientation == 1 else (0, 1)
    assert image[place].tolist() == [1, 10, 255]
    assert image.shape == ((2, 3, 3) if orientation == 1 else (3, 2, 3))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.5, 1.0], [0, 128, 255]), ([0.0, 1.0, 254.6], [0, 1, 255]), ([0.0, 0.0, 0.0], [0, 0, 0])],
)
def test_floating_point_grey_is_zero_to_one_or_zero_to_255(values: list[float], expected: list[int]) -> None:
    data = encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert decode(data)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("values", [[0.0, 300.0], [-1.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_other_floating_point_ranges_are_unreadable(values: list[float]) -> None:
    assert code_of(encoded(Image.fromarray(np.array([values], np.float32)), "TIFF")) == "unreadable"


def test_integers_of_32_bits_are_unreadable() -> None:
    assert code_of(encoded(Image.fromarray(np.array([[1, 2]], np.int32)), "TIFF")) == "unreadable"


def test_twelve_bits_are_spread_to_eight() -> None:
    assert to_bgr8(np.array([[0, 2048, 4095]], np.uint16), full=4095)[0, :, 0].tolist() == [0, 128, 255]


def test_flattening_agrees_with_arithmetic_for_every_value_and_alpha() -> None:
    values, alphas = np.meshgrid(np.arange(256), np.arange(256))
    pixels = np.stack([values, alphas], axis=-1).astype(np.uint8)
    exact = (values * alphas + 255 * (255 - alphas)) / 255
    np.testing.assert_array_equal(to_bgr8(pixels, full=255)[:, :, 0], np.floor(exact + 0.5))


def test_a_picture_larger_than_one_strip_is_converted_whole() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (300, 5000)).astype(np.uint16)
    expected = np.floor(pixels / 257 + 0.5)
    np.testing.assert_array_equal(to_bgr8(pixels, full=65535)[:, :, 1], expected)


def test_not_a_number_has_no_spread() -> None:
    assert spread_unit(np.array([[np.nan]])) is None


# --- limits -------------------------------------------------------------------------------------------


def test_a_picture_over_the_limit_is_named_with_its_size() -> None:
    with pytest.raises(ImageError, match="at most 100 pixels, got 11 x 10"):
        decode(encoded(Image.new("RGB", (11, 10)), "PNG"), max_pixels=100)
    assert decode(encoded(Image.new("RGB", (10, 10)), "PNG"), max_pixels=100).shape == (10, 10, 3)


def test_a_bomb_of_harmless_size_is_a_picture() -> None:
    image = decode(png_bomb(300))
    assert image.shape == (300, 300, 3)
    assert not image.any()


def test_a_picture_that_does_not_fit_into_memory_says_so() -> None:
    script = """
        import resource
        from common.errors import ImageError
        from common.images import decode
        from tests.bad_images import Image, encoded, png_bomb
        pictures = [png_bomb(9000), encoded(Image.new("CMYK", (7000, 7000)), "JPEG")]
        with open("/proc/self/statm") as stream:
            used = int(stream.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, -1))
        for data in pictures:
            try:
                decode(data)
            except ImageError as error:
                print(error.code)
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("needs a limit on address space")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["out-of-memory", "out-of-memory"]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (70_000, 1), (30_000, 10)])
def test_any_shape_of_picture_is_read(size: tuple[int, int]) -> None:
    assert decode(encoded(Image.new("RGB", size, "#010203"), "PNG"))[-1, -1].tolist() == [3, 2, 1]


# --- damage -------------------------------------------------------------------------------------------


SMALL = {name: encoded(photograph(40, 30), name, **LOSSLESS.get(name, {})) for name in FORMATS}


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=6),
    st.floats(0, 1),
)
def test_damaged_data_gives_a_picture_or_an_image_error(
    name: str, changes: list[tuple[int, int]], kept: float
) -> None:
    data = bytearray(SMALL[name])
    for place, value in changes:
        data[place % len(data)] = value
    try:
        image = decode(bytes(data[: int(len(data) * (kept if kept < 0.5 else 1))]))
    except ImageError as error:
        assert error.code in DECODED
    else:
        assert image.shape[2] == 3


@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"RIFF"]),
)
def test_random_bytes_are_an_image_error(data: bytes, start: bytes) -> None:
    assert code_of(start + data) in DECODED


def test_a_preview_inside_a_cut_jpeg_does_not_hide_the_cut() -> None:
    preview = encoded(photograph(16, 12), "JPEG")
    data = encoded(photograph(), "JPEG", comment=preview)
    assert b"\xff\xd9" in data[: len(data) // 2]
    assert decode(data).shape == (48, 64, 3)
    assert code_of(data[: len(data) * 9 // 10]) == "truncated"


def test_a_header_can_be_read_without_the_pixels() -> None:
    data = encoded(photograph(), "PNG")
    header = probe(data[:200])
    assert (header.format, header.width, header.height, header.mode, header.frames) == (
        "PNG",
        64,
        48,
        "RGB",
        1,
    )


# --- encoding -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [1, 6])
def test_a_png_holds_exactly_the_pixels(compression: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 47, 3)).astype(np.uint8)
    data = encode_png(image, compression=compression)
    np.testing.assert_array_equal(bgr(Image.open(io.BytesIO(data))), image)
    assert encode_png(image.copy(), compression=compression) == data


def test_a_png_can_hold_one_channel() -> None:
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = Image.open(io.BytesIO(encode_png(alpha)))
    assert picture.mode == "L"
    np.testing.assert_array_equal(np.asarray(picture), alpha)


def test_a_part_of_an_image_can_be_encoded() -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 47, 3)).astype(np.uint8)
    part = image[3:20:2, 5:30]
    np.testing.assert_array_equal(bgr(Image.open(io.BytesIO(encode_png(part)))), part)


def test_a_jpeg_has_the_quantisation_of_quality_95_and_is_repeatable() -> None:
    image = bgr(photograph())
    data = encode_jpeg(image)
    assert data == encode_jpeg(image.copy())
    opened = Image.open(io.BytesIO(data))
    assert opened.format == "JPEG"
    # Annex K's first luminance entry is 16; quality 95 scales by 10 %: (16·10 + 50) // 100 = 2
    assert opened.quantization[0][0] == 2
    assert np.abs(bgr(opened).astype(int) - image).mean() < 4


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_not_encoded(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="image must be"):
        encode_png(image)
    with pytest.raises(ValueError, match="image must be"):
        encode_jpeg(image)


def test_a_picture_too_wide_for_jpeg_is_an_error_and_no_half_file() -> None:
    with pytest.raises(ImageError, match="OpenCV cannot encode"):
        encode_jpeg(np.zeros((1, 70_000, 3), np.uint8))


def with_tiff_orientation(data: bytes, orientation: int) -> bytes:
    """Add the orientation tag to a little-endian TIFF, in a new directory behind the file."""
    assert data.startswith(b"II*\0")
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    entries = [data[directory + 2 + 12 * i : directory + 14 + 12 * i] for i in range(count)]
    entries.append(struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    padded = data + b"\0" * (len(data) % 2)
    return (
        padded[:4]
        + struct.pack("<I", len(padded))
        + padded[8:]
        + struct.pack("<H", len(entries))
        + b"".join(entries)
        + b"\0\0\0\0"
    )
