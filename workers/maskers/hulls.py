"""Maps from the 68 points alone: the filled convex hull, of the points as they are or with raised brows."""

from __future__ import annotations

import cv2
import numpy as np

from common.arrays import FloatArray, ImageBgr
from workers.geometry import Matrix, transform_points
from workers.maskers.base import MadeMap
from workers.maskers.maps import FACE_SIDE, SIDE, region_matrix, shrink

_DRAWN_SIDE = 8 * SIDE
"""The hull is filled at this side and shrunk by area. OpenCV fills the pixels on the edge too, half of one too
many: 1/16 pixel of the map."""
_SHIFT = 4
"""`cv2.fillConvexPoly` takes points in 1/16 pixel."""
_MARGIN = 2.0
"""Of the 256 of the region, pixels that stay free around a hull that makes it grow."""

_BROWS = np.arange(17, 27)
_UPPER_EYES = np.array([36, 36, 37, 38, 39, 42, 43, 44, 45, 45])
"""The eye point of each brow point; the outermost are pulled towards the jaw (`_QUARTERS`)."""
_QUARTERS = ((0, 36, 0), (9, 45, 16))
"""(place in `_UPPER_EYES`, outer eye corner, jaw end): the pair lies a quarter of the way between them."""


def extend_brows(points68: FloatArray) -> FloatArray:
    """The 68 points with each brow point moved away from the eye by half its distance (spec, 4, `extended`).

    Args:
        points68: (68, 2), pixels.

    Returns:
        A new (68, 2) float64 array.
    """
    points = np.array(points68, np.float64)
    eyes = points[_UPPER_EYES]
    for place, corner, jaw in _QUARTERS:
        eyes[place] = points[corner] + (points[jaw] - points[corner]) / 4
    points[_BROWS] += (points[_BROWS] - eyes) / 2
    return points


class HullMasker:
    """`components` or `extended`; reads no pixel."""

    needs_pixels = False

    def __init__(self, name: str) -> None:
        self.name = name

    def make(self, image_bgr: ImageBgr | None, points68: FloatArray, face: Matrix) -> MadeMap:
        """See `workers.maskers.base.FaceMasker`.

        The region is the aligned face, grown only where the hull would leave it.
        """
        points = extend_brows(points68) if self.name == "extended" else np.asarray(points68, np.float64)
        centre = (FACE_SIDE - 1) / 2
        reach = np.abs(transform_points(face, points) - centre).max()
        grow = max(1.0, float(reach / (FACE_SIDE / 2 - _MARGIN)))
        drawn = transform_points(region_matrix(face, _DRAWN_SIDE, grow), points)
        return MadeMap(shrink(fill_hull(drawn, _DRAWN_SIDE)), region_matrix(face, SIDE, grow))


def fill_hull(points_xy: FloatArray, side: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """(side, side) uint8 with 255 inside the convex hull of (N, 2) points, pixels."""
    canvas = np.zeros((side, side), np.uint8)
    hull = cv2.convexHull(np.asarray(points_xy, np.float32))
    fixed = np.round(hull * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(canvas, fixed, 255, lineType=cv2.LINE_8, shift=_SHIFT)
    return canvas
