"""Boxes between the stages of a cascade: moved, made square, cut out, and suppressed. Boxes are (N, 4), pixels."""

from __future__ import annotations

import cv2
import numpy as np

from common.arrays import FloatArray, ImageBgr
from workers.detectors.boxes import areas


def moved(boxes: FloatArray, offsets: FloatArray) -> FloatArray:
    """Return boxes whose sides are moved by (N, 4) fractions of width and height."""
    sides = boxes[:, 2:] - boxes[:, :2]
    answer: FloatArray = boxes + offsets * np.tile(sides, 2)
    return answer


def squares_around(boxes: FloatArray) -> FloatArray:
    """Return squares with the boxes' centres and their longer sides."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def cut_square(image_bgr: ImageBgr, square: FloatArray, side: int) -> ImageBgr:
    """Return a square of the image, (side, side, 3); black where the image ends."""
    left, top, right, bottom = (int(value) for value in square)
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    height, width = image_bgr.shape[:2]
    crop = np.zeros((bottom - top, right - left, 3), dtype=np.uint8)
    inside = image_bgr[max(0, top) : max(0, min(bottom, height)), max(0, left) : max(0, min(right, width))]
    y, x = max(0, -top), max(0, -left)
    crop[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def nms_by_smaller(boxes: FloatArray, scores: FloatArray, threshold: float) -> list[int]:
    """Indices kept by suppression over the smaller of two areas: a box inside another one goes."""
    kept: list[int] = []
    sizes = areas(boxes)
    for index in np.argsort(-scores, kind="stable"):
        low = np.maximum(boxes[kept, :2], boxes[index, :2])
        high = np.minimum(boxes[kept, 2:], boxes[index, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        if np.all(shared <= threshold * np.minimum(sizes[kept], sizes[index])):
            kept.append(int(index))
    return kept
