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
# Spread in levels that even a picture without noise has, from rounding.
LEAST = 0.5


def grain(size_wh: tuple[int, int], noise: float, saturation: float, rng: np.random.Generator) -> Field:
    """Return (h, w, 3) float32 noise, levels.

    Args:
        size_wh: width and height.
        noise: spread of the photograph's noise, levels.
        saturation: 0 in a grey photograph, whose noise has no hue, to 1.
        rng: gives the place in the tile.
    """
    spread = GAIN * max(noise, LEAST)
    width, height = size_wh
    left, up = (int(rng.integers(max(1, TILE - side + 1))) for side in size_wh)
    luma, hue = (tile[up : up + height, left : left + width] for tile in _tiles())
    mixed = cv2.addWeighted(luma, spread, hue, HUE_GAIN * saturation * spread, 0)
    right, down = width - mixed.shape[1], height - mixed.shape[0]
    if right or down:
        mixed = cv2.copyMakeBorder(mixed, 0, down, 0, right, cv2.BORDER_WRAP)
    return np.asarray(mixed, np.float32)


@lru_cache(maxsize=1)
def _tiles() -> tuple[Field, Field]:
    """Return (TILE, TILE, 3) of brightness and of hue, of about unit spread, the same on every machine."""
    rng = np.random.Generator(np.random.PCG64(20))
    fine, coarse, hue = rng.standard_normal((3, TILE, TILE), dtype=np.float32)
    # Noise in photographs is coarser than a pixel, in hue more so: demosaicing and JPEG have been over it.
    luma = 0.8 * _blurred(fine, 0.5) + 0.6 * _blurred(coarse, 1.3)
    hue = _blurred(hue, 1.8)
    tiles = cv2.merge([luma, luma, luma]), cv2.merge([hue, -0.3 * hue, -0.5 * hue])
    shared = np.asarray(tiles[0], np.float32), np.asarray(tiles[1], np.float32)
    for tile in shared:
        tile.setflags(write=False)
    return shared


def _blurred(white: Field, sigma: float) -> Field:
    """Return noise blurred, its spread 1 again; opposite borders meet, so that tiles do."""
    wrapped = cv2.copyMakeBorder(white, 8, 8, 8, 8, cv2.BORDER_WRAP)
    blurred = np.asarray(cv2.GaussianBlur(wrapped, (0, 0), sigma), np.float32)[8:-8, 8:-8]
    return np.asarray(blurred / blurred.std(), np.float32)
