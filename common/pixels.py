"""Brings pixels of any depth and channel count to (H, W, 3) uint8, blue green red."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from common.arrays import GrayImage, ImageBgr

# Rows are converted in strips of about this many samples: the wide intermediate of a 200-megapixel picture
# would take gigabytes, and a strip that fits the cache is faster too.
_STRIP_SAMPLES = 1 << 20


def to_bgr8(pixels: npt.NDArray[Any], *, full: int) -> ImageBgr:
    """Scale to 8 bits, repeat grey three times, and flatten alpha on white.

    Rounds to nearest, once: a 16-bit sample is divided by 257, and alpha is applied before that division.

    Args:
        pixels: unsigned integers in 0–`full`; (H, W) grey, (H, W, 2) grey and alpha, (H, W, 3) blue green
            red, or (H, W, 4) with alpha, which is not premultiplied.
        full: the value of white: 255, 4095 or 65535.

    Returns:
        A new (H, W, 3) uint8 array.
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    height, width, channels = pixels.shape
    result = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_SAMPLES // max(1, width * channels))
    for top in range(0, height, rows):
        strip = pixels[top : top + rows].astype(np.uint64)
        colour, white = strip, full
        if channels in (2, 4):
            alpha = strip[:, :, -1:]
            colour, white = strip[:, :, :-1] * alpha + full * (full - alpha), full * full
        # round(255·colour / white) in integers
        result[top : top + rows] = (colour * 510 + white) // (2 * white)
    return result


def spread_unit(pixels: npt.NDArray[np.floating[Any]]) -> GrayImage | None:
    """Scale floating-point grey to 8 bits: 0–1 is spread to 0–255, 0–255 is rounded.

    Args:
        pixels: (H, W) of any float type.

    Returns:
        (H, W) uint8; None when a value is not finite or the range is neither of the two.
    """
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0.0 and high <= 255.0):  # also NaN
        return None
    spread: GrayImage = np.rint(pixels * (255.0 if high <= 1.0 else 1.0)).astype(np.uint8)
    return spread
