"""The grain of a photograph: noise as cameras and JPEG leave it."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
# Side of the tile of noise, pixels: a smaller mask cuts its piece out of it, a larger one repeats it.
TILE = 320
# What `Optics.noise` measures is the flattest quarter of the pixels at the finest scale; there is more of it.
GAIN, HUE_GAIN = 1.15, 0.25
# Steps of saturation for which a tile is kept.
HUES = 4
# Spread in levels that even a picture without noise has, from rounding.
LEAST = 0.5


def add_grain(color: Field, noise: float, saturation: float, rng: np.random.Generator) -> Field:
    """Return a (h, w, 3) float32 picture with noise, levels.

    Args:
        color: the picture.
        noise: spread of the photograph's noise, levels.
        saturation: 0 in a grey photograph, whose noise has no hue, to 1.
        rng: gives the place in the tile.
    """
    height, width = color.shape[:2]
    left, up = (int(rng.integers(max(1, TILE - side + 1))) for side in (width, height))
    piece = _tile(round(saturation * HUES))[up : up + height, left : left + width]
    right, down = width - piece.shape[1], height - piece.shape[0]
    if right or down:
        piece = np.asarray(cv2.copyMakeBorder(piece, 0, down, 0, right, cv2.BORDER_WRAP), np.float32)
    return np.asarray(cv2.scaleAdd(piece, GAIN * max(noise, LEAST), color), np.float32)


@lru_cache(maxsize=HUES + 1)
def _tile(saturation: int) -> Field:
    """Return (TILE, TILE, 3) of about unit spread, the same on every machine; of `HUES` the most is in colour."""
    rng = np.random.Generator(np.random.PCG64(20))
    fine, coarse, hue = rng.standard_normal((3, TILE, TILE), dtype=np.float32)
    # Noise in photographs is coarser than a pixel, in hue more so: demosaicing and JPEG have been over it.
    luma = 0.8 * _blurred(fine, 0.5) + 0.6 * _blurred(coarse, 1.3)
    hue = np.float32(HUE_GAIN * saturation / HUES) * _blurred(hue, 1.8)
    tile = np.asarray(cv2.merge([luma + hue, luma - 0.3 * hue, luma - 0.5 * hue]), np.float32)
    tile.setflags(write=False)
    return tile


def _blurred(white: Field, sigma: float) -> Field:
    """Return noise blurred, its spread 1 again; opposite borders meet, so that tiles do."""
    wrapped = cv2.copyMakeBorder(white, 8, 8, 8, 8, cv2.BORDER_WRAP)
    blurred = np.asarray(cv2.GaussianBlur(wrapped, (0, 0), sigma), np.float32)[8:-8, 8:-8]
    return np.asarray(blurred / blurred.std(), np.float32)
