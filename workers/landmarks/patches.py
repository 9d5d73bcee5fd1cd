"""A small grey picture of one face, level and of one size, and the way back to the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from common.arrays import FloatArray, GrayImage, ImageBgr
from workers.landmarks.squares import Square, rotation

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
        moved: FloatArray = (points - self.shift) @ np.linalg.inv(self.linear).T
        return moved


def cut_patch(image_bgr: ImageBgr, square: Square) -> Patch:
    """Cut the square with its margin out of an image; the cost depends on neither image nor face size."""
    linear = rotation(-square.roll) * (FACE / square.side)
    middle = np.full(2, (SIDE - 1) / 2)
    shift = middle - linear @ square.centre_xy
    patch = Patch(np.zeros((SIDE, SIDE), dtype=np.uint8), linear, shift)

    corners = patch.to_image(np.array([[0, 0], [SIDE, 0], [0, SIDE], [SIDE, SIDE]], dtype=np.float64))
    height, width = image_bgr.shape[:2]
    left, top = (max(0, math.floor(value) - 1) for value in corners.min(axis=0))
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, (width, height))
    if left >= right or top >= bottom:
        return patch
    # Every n-th pixel of a large face: the predictor compares single pixels, and nothing is gained by reading
    # nine times as many.
    step = max(1, int(square.side / FACE))
    region = np.ascontiguousarray(image_bgr[top:bottom:step, left:right:step])
    matrix = np.column_stack([linear * step, shift + linear @ np.array([left, top])])
    cv2.warpAffine(cv2.cvtColor(region, cv2.COLOR_BGR2GRAY), matrix, (SIDE, SIDE), dst=patch.gray)
    return patch
