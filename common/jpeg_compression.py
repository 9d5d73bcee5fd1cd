"""How a JPEG was compressed, read off its header: what is painted into it later is to look the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

BEST_QUALITY = 93
"""Above, skin keeps its noise, and no blocks can be measured on it: docs/masks.md."""

# ITU-T T.81 (1992), table K.1: the luminance, row by row.
_LUMINANCE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61),
        *(12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56),
        *(14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77),
        *(24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101),
        *(72, 92, 95, 98, 112, 100, 103, 99),
    ]
)
_QUALITIES = np.arange(1, 101)
# `jpeg_quality_scaling` and `jpeg_add_quant_table` of the Independent JPEG Group, which nearly all encoders follow.
_PERCENT = np.where(_QUALITIES < 50, 5000 // _QUALITIES, 200 - 2 * _QUALITIES)
_LOG_TABLES = np.log(np.clip((_LUMINANCE * _PERCENT[:, None] + 50) // 100, 1, 255))
_STEPS_WH = ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1))


@dataclass(frozen=True, slots=True)
class JpegCompression:
    """What it takes to compress a part of a picture as its file was.

    Attributes:
        quality: 1 to `BEST_QUALITY`, on the scale of the Independent JPEG Group.
        chroma_step_wh: pixels across and down for which one of colour is kept, as stored: (1, 1), (2, 1), (1, 2),
            (2, 2) or (4, 1).
        orientation: 1 to 8 as in EXIF, by which the stored pixels were turned upright.
    """

    quality: int
    chroma_step_wh: tuple[int, int]
    orientation: int


def read_compression(picture: Image.Image, orientation: int) -> JpegCompression | None:
    """Return how a picture was compressed, by the header that Pillow has read; no pixel is decoded.

    Args:
        picture: of any format.
        orientation: of its pixels, 1 to 8.

    Returns:
        None where it is no JPEG in grey or YCbCr, where its quality is above `BEST_QUALITY`, and where it keeps
        colour in a rarer way.
    """
    if (
        not isinstance(picture, JpegImageFile)
        or picture.mode not in ("L", "RGB")
        or _is_stored_as_rgb(picture)
    ):
        return None
    if not picture.layer:  # a broken header: what becomes of it is the decoder's to say
        return None
    luma, *chroma = picture.layer
    table = picture.quantization.get(luma[3], [])
    step_wh = _chroma_step(luma[1:3], [component[1:3] for component in chroma])
    if step_wh is None or len(table) != _LUMINANCE.size or min(table) < 1:
        return None
    quality = _nearest_quality(tuple(table))
    return None if quality > BEST_QUALITY else JpegCompression(quality, step_wh, orientation)


def _chroma_step(luma: Sequence[int], chroma: Sequence[Sequence[int]]) -> tuple[int, int] | None:
    """Return for how many pixels one of colour is kept, from the samples across and down of each component."""
    for step_wh in _STEPS_WH:
        if all(luma[0] == step_wh[0] * h and luma[1] == step_wh[1] * v for h, v in chroma):
            return step_wh
    return None


@lru_cache(maxsize=256)
def _nearest_quality(table: tuple[int, ...]) -> int:
    """Return the quality, 1 to 100, whose table has the least mean ratio to this one; exact for tables of that scale."""
    return int(_QUALITIES[np.abs(_LOG_TABLES - np.log(table)).sum(axis=1).argmin()])


def _is_stored_as_rgb(picture: JpegImageFile) -> bool:
    """The rule of libjpeg: JFIF is YCbCr; then Adobe's marker tells; then the names of the components."""
    if picture.mode == "L" or "jfif" in picture.info:
        return False
    if "adobe_transform" in picture.info:
        return bool(picture.info["adobe_transform"] == 0)
    return [component[0] for component in picture.layer] == [*b"RGB"]
