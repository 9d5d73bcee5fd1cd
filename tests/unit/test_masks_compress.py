"""The traces of JPEG on masks; what they are to be is what Pillow makes of the whole picture."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from common.arrays import FloatArray, GrayImage, ImageBgr
from common.images import ReducedImage, decode, decode_reduced
from common.jpeg_compression import JpegCompression
from common.orientation import turn_upright
from tests.bad_images import encoded
from tests.unit.test_masks_mesh import BLUE, turned_face
from workers.masks.compress import compress
from workers.masks.draw import paint

SIZE_WH = (83, 61)
BOX = (13, 9, 58, 42)


def noise(size_wh: tuple[int, int], mode: str = "L") -> Image.Image:
    shape = (size_wh[1], size_wh[0]) if mode == "L" else (size_wh[1], size_wh[0], 3)
    return Image.fromarray(np.random.default_rng(3).integers(60, 200, shape, dtype=np.uint8), mode).convert(
        "RGB"
    )


def bgr(picture: Image.Image) -> ImageBgr:
    return np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])


def through_pillow(picture: Image.Image, **options: Any) -> Image.Image:
    return Image.open(io.BytesIO(encoded(picture, "JPEG", **options))).convert("RGB")


def full(box: tuple[int, int, int, int], level: int = 255) -> GrayImage:
    return np.full((box[3] - box[1], box[2] - box[0]), level, np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("quality", [20, 70])
def test_a_part_becomes_what_it_is_in_the_whole_picture_compressed(orientation: int, quality: int) -> None:
    stored = noise(SIZE_WH)
    upright = turn_upright(bgr(stored), orientation)
    wanted = turn_upright(bgr(through_pillow(stored, quality=quality)), orientation)
    canvas = upright.copy()
    compress(canvas, BOX, full(BOX), JpegCompression(quality, (2, 2), orientation))
    x1, y1, x2, y2 = BOX
    off = np.abs(canvas.astype(int) - wanted)[y1:y2, x1:x2]
    assert off.max() <= 1
    assert np.abs(upright.astype(int) - wanted)[y1:y2, x1:x2].mean() > 4
    outside = np.ones(canvas.shape[:2], bool)
    outside[y1:y2, x1:x2] = False
    assert (canvas == upright)[outside].all()


@pytest.mark.parametrize(
    ("subsampling", "step_wh"), [("4:4:4", (1, 1)), ("4:2:2", (2, 1)), ("4:2:0", (2, 2))]
)
def test_colour_is_kept_as_coarse_as_in_the_file(subsampling: str, step_wh: tuple[int, int]) -> None:
    picture = noise(SIZE_WH, "RGB")
    wanted = bgr(through_pillow(picture, quality=60, subsampling=subsampling)).astype(int)
    canvas = bgr(picture)
    # A whole number of blocks and more around: colour is interpolated from the neighbouring block.
    compress(canvas, BOX, full(BOX), JpegCompression(60, step_wh, 1))
    inner = np.s_[18:30, 18:46]
    assert np.abs(canvas.astype(int) - wanted)[inner].max() <= 1


@pytest.mark.parametrize("box", [(0, 0, 83, 61), (70, 50, 83, 61), (0, 60, 1, 61), (82, 0, 83, 61)])
def test_parts_at_the_border_are_no_different(box: tuple[int, int, int, int]) -> None:
    picture = noise(SIZE_WH)
    canvas = bgr(picture)
    compress(canvas, box, full(box), JpegCompression(30, (2, 2), 1))
    x1, y1, x2, y2 = box
    wanted = bgr(through_pillow(picture, quality=30)).astype(int)
    assert np.abs(canvas.astype(int) - wanted)[y1:y2, x1:x2].max() <= 1


@pytest.mark.parametrize("box", [BOX, (7, 7, 7, 7)])
def test_where_nothing_is_covered_nothing_changes(box: tuple[int, int, int, int]) -> None:
    canvas = bgr(noise(SIZE_WH))
    compress(canvas, box, full(box, 0), JpegCompression(30, (2, 2), 6))
    assert (canvas == bgr(noise(SIZE_WH))).all()


def test_a_half_covered_pixel_is_half_compressed_and_a_bare_one_not_at_all() -> None:
    picture = noise(SIZE_WH)
    plain, wanted = bgr(picture), bgr(through_pillow(picture, quality=30)).astype(int)
    cover = full(BOX, 128)
    cover[:, :20] = 0
    canvas = plain.copy()
    compress(canvas, BOX, cover, JpegCompression(30, (2, 2), 1))
    assert (canvas[9:42, 13:33] == plain[9:42, 13:33]).all()
    half = (plain[9:42, 33:58] + wanted[9:42, 33:58]) / 2
    assert np.abs(canvas[9:42, 33:58] - half).max() <= 1.5


# --- on faces ------------------------------------------------------------------------------------------


def flat_photograph(size_wh: tuple[int, int]) -> Image.Image:
    """Skin and a little noise, everywhere."""
    level = np.random.default_rng(4).normal(0, 3, (size_wh[1], size_wh[0], 1))
    return Image.fromarray(np.clip(np.array([205, 150, 130]) + level, 0, 255).astype(np.uint8))


def painted(decoded: ReducedImage, points: FloatArray) -> tuple[ImageBgr, GrayImage]:
    canvas = decoded.image_bgr.copy()
    alpha = np.zeros(canvas.shape[:2], np.uint8)
    rng = np.random.Generator(np.random.PCG64(0))
    compression = decoded.compression
    paint(canvas, alpha, points, BLUE, rng, light_from=decoded.image_bgr, compression=compression)
    return canvas, alpha


def fine_detail(image_bgr: ImageBgr, alpha: GrayImage) -> FloatArray:
    """(8, 8), by the y and x at which a grid of 8 x 8 begins: the mean of the fine waves of blocks under the mask."""
    grey = image_bgr.mean(axis=2).astype(np.float32)
    is_fine = np.add.outer(range(8), range(8)) >= 8
    detail = np.empty((8, 8))
    for y, x in np.ndindex(8, 8):
        corners = [(j, i) for j in range(y, len(grey) - 7, 8) for i in range(x, len(grey[0]) - 7, 8)]
        squares = [np.s_[j : j + 8, i : i + 8] for j, i in corners]
        waves = [cv2.dct(grey[square]) for square in squares if (alpha[square] >= 250).all()]
        detail[y, x] = np.abs(np.array(waves)[:, is_fine]).mean()
    return detail


def grid_xy(detail: FloatArray) -> tuple[int, int]:
    """Where the grid begins: there the fine waves were rounded to nothing, at its other lines some of them."""
    y, x = divmod(int(detail.argmin()), 8)
    others = np.delete(detail.ravel(), detail.argmin())
    assert detail.min() < 0.8 * others.min()
    assert detail.min() < 0.4 * np.median(others)
    return x, y


@pytest.mark.parametrize("shift", [0, 3, 5])
def test_the_blocks_of_a_mask_lie_on_the_grid_of_its_picture(shift: int) -> None:
    points = turned_face(40, (110 + shift, 80 + 2 * shift), 10)
    decoded = decode_reduced(encoded(flat_photograph((220, 200)), "JPEG", quality=40), None)
    assert grid_xy(fine_detail(*painted(decoded, points))) == (0, 0)


# EXIF 2.3, tag 274: at 3 the stored row 0 is the bottom and column 0 the right side; at 6 right side and top, at 8
# left side and bottom. From a far side the grid begins after what is left of 203 or 197 pixels, 3 or 5.
@pytest.mark.parametrize(("orientation", "first_xy"), [(3, (3, 5)), (6, (5, 0)), (8, (0, 3))])
def test_the_grid_of_a_turned_photograph_begins_at_the_corner_it_was_stored_from(
    orientation: int, first_xy: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(flat_photograph((203, 197)), "JPEG", quality=40, exif=exif)
    assert grid_xy(fine_detail(*painted(decode_reduced(data, None), turned_face(40, (100, 80))))) == first_xy


def test_the_same_pixels_without_a_compressed_file_are_painted_as_they_were() -> None:
    points = turned_face(40, (110, 80), 10)
    data = encoded(flat_photograph((220, 200)), "JPEG", quality=40)
    png = encoded(Image.fromarray(decode(data)[:, :, ::-1]), "PNG")
    of_jpeg, of_png = decode_reduced(data, None), decode_reduced(png, None)
    assert (of_jpeg.image_bgr == of_png.image_bgr).all()
    (canvas, alpha), (plain, plain_alpha) = painted(of_jpeg, points), painted(of_png, points)
    assert (alpha == plain_alpha).all()
    assert (canvas == plain)[alpha == 0].all()
    assert (canvas != plain)[alpha == 255].mean() > 0.5
    detail = fine_detail(plain, plain_alpha)
    assert detail[0, 0] > 0.9 * detail.mean()


def test_a_picture_of_the_best_quality_is_painted_like_one_without_loss() -> None:
    points = turned_face(40, (110, 80), 10)
    decoded = decode_reduced(encoded(flat_photograph((220, 200)), "JPEG", quality=94), None)
    without = ReducedImage(decoded.image_bgr, 1, decoded.width, decoded.height)
    assert (painted(decoded, points)[0] == painted(without, points)[0]).all()


def test_two_paintings_give_the_same_bytes() -> None:
    points = turned_face(40, (113, 85), 10)
    decoded = decode_reduced(encoded(flat_photograph((220, 200)), "JPEG", quality=40), None)
    assert painted(decoded, points)[0].tobytes() == painted(decoded, points)[0].tobytes()


@pytest.mark.parametrize(
    ("factors", "step_wh"),
    [
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440, (1, 2)),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411, (4, 1)),
    ],
)
def test_rarer_ways_of_keeping_colour_are_read_and_used(factors: int, step_wh: tuple[int, int]) -> None:
    """Pillow does not write them; OpenCV compresses the whole picture, of which a part is to be the same."""
    whole = bgr(noise(SIZE_WH, "RGB"))
    parameters = [cv2.IMWRITE_JPEG_QUALITY, 60, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors]
    decoded = decode_reduced(cv2.imencode(".jpg", whole, parameters)[1].tobytes(), None)
    assert decoded.compression == JpegCompression(60, step_wh, 1)
    canvas = whole.copy()
    compress(canvas, BOX, full(BOX), decoded.compression)
    inner = np.s_[18:30, 18:46]
    assert np.abs(canvas.astype(int) - decoded.image_bgr)[inner].max() <= 1
