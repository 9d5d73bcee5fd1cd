"""`--debug-landmarks`: boxes and points drawn on a copy of the picture, to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from common.arrays import FloatArray, ImageBgr
from workers.facepoints import FacePoints

# Parts of iBUG's 68 points: first index, end, whether the line closes.
_PARTS = [
    *[(0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False)],
    *[(36, 42, True), (42, 48, True), (48, 60, True), (60, 68, True)],
]
_LINES = (80, 220, 80)
_DOTS = (255, 255, 255)
_FIVE = (60, 60, 255)
_BOX = (255, 160, 40)
_SHIFT = 4
"""OpenCV draws at 1/16 of a pixel."""


def draw_landmarks(image_bgr: ImageBgr, faces: Sequence[FacePoints]) -> ImageBgr:
    """Return a copy with each face's 68 points, its five points (red) and its number."""
    canvas = image_bgr.copy()
    for face in faces:
        extent = float(np.ptp(face.points68, axis=0).max())
        dot = max(1.0, extent / 120)
        thickness = max(1, round(extent / 250))
        for first, end, closes in _PARTS:
            line = np.round(face.points68[first:end] * (1 << _SHIFT)).astype(np.int32)
            cv2.polylines(canvas, [line], closes, _LINES, thickness, cv2.LINE_AA, _SHIFT)
        for points, color in ((face.points68, _DOTS), (face.crop_points5, _FIVE)):
            _dots(canvas, points, dot if color == _DOTS else 2 * dot, color)
        _number(canvas, face)
    return canvas


def _dots(canvas: ImageBgr, points: FloatArray, radius: float, color: tuple[int, int, int]) -> None:
    for x, y in np.round(points * (1 << _SHIFT)).astype(int).tolist():
        cv2.circle(canvas, (x, y), round(radius * (1 << _SHIFT)), color, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def _number(canvas: ImageBgr, face: FacePoints) -> None:
    """Draw the detector's box (the limit is it, grown by half on each side) and the face's number above."""
    x1, y1, x2, y2 = face.limit_xyxy
    left, right = (3 * x1 + x2) / 4, (x1 + 3 * x2) / 4
    top, bottom = (3 * y1 + y2) / 4, (y1 + 3 * y2) / 4
    size = max(0.4, (right - left) / 200)
    corner, other = (round(left), round(top)), (round(right) - 1, round(bottom) - 1)
    cv2.rectangle(canvas, corner, other, _BOX, max(1, round(size)))
    where = round(left), max(round(top) - 4, round(20 * size))
    cv2.putText(
        canvas, str(face.face_index), where, cv2.FONT_HERSHEY_SIMPLEX, size, _BOX, max(1, round(size * 2))
    )
