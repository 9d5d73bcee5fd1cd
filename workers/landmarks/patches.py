"""A small grey picture of one face, level and of one size, and the way back to the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from common.arrays import FloatArray, GrayImage, ImageBgr
from workers.landmarks.normalization import Normalizer
from workers.landmarks.squares import Square

FACE = 150
"""Side of the square in the patch, pixels: points come in whole pixels, so this sets how fine they are."""

MARGIN = 60
"""Pixels around the square, for points and second squares that lie outside it."""

SIDE = FACE + 2 * MARGIN


@dataclass(frozen=True)
class Patch:
    """A patch and its place.

    Attributes:
        gray: (SIDE, SIDE), black where the image ends.
        linear: (2, 2), patch = linear @ image + shift.
        shift: (2,), pixels of the patch.
    """

    gray: GrayImage
    linear: FloatArray
    shift: FloatArray

    def to_image(self, points: FloatArray) -> FloatArray:
        """Return (K, 2) points of the patch in pixels of the image."""
        # `linear` is a turn and a scale: its inverse is its transpose over the square of the scale.
        moved: FloatArray = (points - self.shift) @ (self.linear / np.vdot(self.linear[0], self.linear[0]))
        return moved


def cut_patch(image_bgr: ImageBgr, square: Square, normalize: Normalizer | None = None) -> Patch:
    """Cut the square with its margin out of an image; the cost depends on neither image nor face size.

    Args:
        normalize: what is done to the patch while it still has its colours.
    """
    # Plain numbers: arrays of two are thirty times as slow.
    scale = FACE / square.side
    cosine, sine = scale * math.cos(square.roll), scale * math.sin(square.roll)
    x, y = (float(value) for value in square.centre_xy)
    shift_x = (SIDE - 1) / 2 - (cosine * x + sine * y)
    shift_y = (SIDE - 1) / 2 - (cosine * y - sine * x)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    patch = Patch(np.zeros((SIDE, SIDE), dtype=np.uint8), linear, np.array([shift_x, shift_y]))

    # The patch, seen in the image, reaches half its diagonals' extent from its middle in each direction.
    reach = (abs(cosine) + abs(sine)) * (SIDE / 2 + 0.5) / (scale * scale)
    height, width = image_bgr.shape[:2]
    left, top = max(0, math.floor(x - reach) - 1), max(0, math.floor(y - reach) - 1)
    right, bottom = min(width, math.ceil(x + reach) + 2), min(height, math.ceil(y + reach) + 2)
    if left >= right or top >= bottom:
        return patch
    # Every n-th pixel of a large face: the predictor compares single pixels, and nothing is gained by reading
    # nine times as many.
    step = max(1, int(square.side / FACE))
    region = np.ascontiguousarray(image_bgr[top:bottom:step, left:right:step])
    matrix = np.array(
        [
            [cosine * step, sine * step, shift_x + cosine * left + sine * top],
            [-sine * step, cosine * step, shift_y + cosine * top - sine * left],
        ]
    )
    if normalize is not None:
        patch_bgr = normalize(np.asarray(cv2.warpAffine(region, matrix, (SIDE, SIDE)), dtype=np.uint8))
        cv2.cvtColor(patch_bgr, cv2.COLOR_BGR2GRAY, dst=patch.gray)
        return patch
    cv2.warpAffine(cv2.cvtColor(region, cv2.COLOR_BGR2GRAY), matrix, (SIDE, SIDE), dst=patch.gray)
    return patch
