"""Pictures that stand for what a detector sees, for choosing the ranges of 8-bit integers; no photograph of a user's.

One portrait in the public domain (Eileen Collins, NASA, in scikit-image) in many sizes and lights, and noise.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import ImageBgr

RECIPE = 3
"""Raise it when the pictures change."""

# The quantiser holds every activation at once: 0.9 GB. At 448×320 (0.5 GB) one face of 774 fewer is found than by
# floats, at 320×256 (0.4 GB) four.
_SIZE_WH = (640, 480)
# The square with head and shoulders in the portrait of 512×512.
_HEAD = slice(0, 300), slice(60, 360)
# Factor, gain, offset: faces from 10 to 150 px wide.
_CROWDS = ((0.1, 1.0, 0), (0.17, 1.0, 0), (0.25, 1.2, 0), (0.4, 0.7, 0), (0.8, 1.1, 10), (1.6, 1.0, 0))
_SCENES = ((1.25, 1.0, 0), (0.6, 1.2, 10), (0.35, 0.6, 0), (0.9, 0.8, -10))
# Cells of noise, pixels: from rough to fine.
_NOISE_CELLS = (32, 8, 1)


def calibration_pictures() -> Iterator[ImageBgr]:
    """Yield pictures of 640×480, the same on every machine."""
    from skimage.data import astronaut

    # scikit-image carries the file; its function has no types.
    rgb: npt.NDArray[np.uint8] = astronaut()  # type: ignore[no-untyped-call]
    portrait = np.ascontiguousarray(rgb[..., ::-1])
    for place, (factor, gain, offset) in enumerate(_SCENES):
        scene = _lit(portrait[:, ::-1] if place % 2 else portrait, factor, gain, offset)
        yield np.ascontiguousarray(np.tile(scene, (3, 4, 1))[: _SIZE_WH[1], : _SIZE_WH[0]])
    for factor, gain, offset in _CROWDS:
        yield _crowd(portrait[_HEAD], factor, gain, offset)
    rng = np.random.default_rng(0)
    for cell in _NOISE_CELLS:
        rough = rng.integers(0, 256, (_SIZE_WH[1] // cell, _SIZE_WH[0] // cell, 3), dtype=np.uint8)
        yield np.asarray(cv2.resize(rough, _SIZE_WH, interpolation=cv2.INTER_CUBIC), np.uint8)
    for level in (0, 255):
        yield np.full((_SIZE_WH[1], _SIZE_WH[0], 3), level, np.uint8)


def _crowd(head: npt.NDArray[np.uint8], factor: float, gain: float, offset: float) -> ImageBgr:
    """The head and its mirror image, side by side and again and again."""
    pair = np.concatenate([_lit(head, factor, gain, offset), _lit(head[:, ::-1], factor, gain, offset)], 1)
    times = _SIZE_WH[1] // pair.shape[0] + 1, _SIZE_WH[0] // pair.shape[1] + 1, 1
    return np.ascontiguousarray(np.tile(pair, times)[: _SIZE_WH[1], : _SIZE_WH[0]])


def _lit(image: npt.NDArray[np.uint8], factor: float, gain: float, offset: float) -> ImageBgr:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    sized = cv2.resize(np.ascontiguousarray(image), None, fx=factor, fy=factor, interpolation=how)
    return np.asarray(np.clip(sized.astype(np.float32) * gain + offset, 0, 255), np.uint8)
