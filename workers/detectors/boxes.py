"""Arithmetic on boxes: (N, 4), x1 y1 x2 y2, pixels, maxima exclusive; N may be 0."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from common.options import MAX_FACES

IndexArray = npt.NDArray[np.intp]

MAX_DETECTIONS = 2 * MAX_FACES
"""Detections of an image that are looked at further and recorded: a picture may be made to give any number."""


def clip_boxes(boxes_xyxy: FloatArray, size_wh: tuple[int, int]) -> FloatArray:
    """Clip boxes to the image.

    Args:
        boxes_xyxy: (N, 4).
        size_wh: image width and height, pixels.

    Returns:
        A new (N, 4) array; a box wholly outside has zero area.
    """
    width, height = size_wh
    # Not np.clip: with an array for a bound it takes five times as long for a few boxes.
    return np.minimum(np.maximum(boxes_xyxy, 0.0), (width, height, width, height))


def areas(boxes_xyxy: FloatArray) -> FloatArray:
    """Return (N,) areas in square pixels; a box turned inside out has none."""
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0.0)
    product: FloatArray = sides[:, 0] * sides[:, 1]
    return product


def iou(a_xyxy: FloatArray, b_xyxy: FloatArray) -> FloatArray:
    """Return (N, M) intersections over unions of (N, 4) with (M, 4) boxes; 0 where both are empty."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    union = areas(a_xyxy)[:, None] + areas(b_xyxy)[None, :] - shared
    ratio: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def nms(
    boxes_xyxy: FloatArray, scores: FloatArray, threshold: float, *, most: int = MAX_DETECTIONS
) -> IndexArray:
    """Return the indices of the boxes kept by greedy non-maximum suppression, highest score first.

    Args:
        boxes_xyxy: (N, 4).
        scores: (N,); of equal ones the earlier comes first.
        threshold: a box whose IoU with a kept one is above this is dropped.
        most: so many are kept at the most. Each costs a comparison with all that are left.
    """
    order: IndexArray = np.argsort(-scores, kind="stable")
    x1, y1, x2, y2 = boxes_xyxy[order].T
    sizes = areas(boxes_xyxy)[order]
    waiting: IndexArray = np.arange(len(order))
    kept: list[int] = []
    while len(waiting) and len(kept) < most:
        first, waiting = waiting[0], waiting[1:]
        kept.append(int(order[first]))
        if not len(waiting):
            break
        # `iou` of one box with many, column by column: a third of its time.
        wide = np.minimum(x2[first], x2[waiting]) - np.maximum(x1[first], x1[waiting])
        high = np.minimum(y2[first], y2[waiting]) - np.maximum(y1[first], y1[waiting])
        shared = np.maximum(wide, 0.0) * np.maximum(high, 0.0)
        union = sizes[first] + sizes[waiting] - shared
        overlap = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        waiting = waiting[overlap <= threshold]
    return np.array(kept, dtype=np.intp)


def touching_image(boxes_xyxy: FloatArray, size_wh: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return (N,) bool: which boxes share some area with the image.

    Boxes and size must be in pixels of the *original* image: tested against the network's input size, the
    faces in the far corner of a large picture would be lost.
    """
    shares: npt.NDArray[np.bool_] = areas(clip_boxes(boxes_xyxy, size_wh)) > 0
    return shares
