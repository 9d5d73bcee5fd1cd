"""The shadow that a mask throws on the skin beside it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from common.arrays import FloatArray
from workers.masks.frame import FaceFrame, stacked
from workers.masks.planes import Field, blurred, shares

# The shadow in the gap along the edge, and the wider one that falls away from the light: softness and
# distance in units of the face, and how much of the light each takes. Judged by eye on photographs.
GAP_SIGMA, GAP_DEPTH = 0.035, 0.22
FALL_SIGMA, FALL_LENGTH, FALL_DEPTH = 0.07, 0.13, 0.34
# The shadow is drawn in a picture in which the eyes are at most this many pixels apart.
SHADOW_UNIT_PX = 24.0


def _outline() -> FloatArray:
    """Return the matrix that takes 68 points to those of the face's outline and, above its place, of the neck's."""
    matrix = np.zeros((36, 68))
    matrix[range(27), range(27)] = 1
    # The neck is a little narrower than the jaw.
    jaw = matrix[27:, 4:13]
    jaw += 0.2 / 9
    jaw[range(9), range(9)] += 0.8
    return matrix


_OUTLINE = _outline()


def skin_outlines(landmarks: FloatArray, frames: Sequence[FaceFrame]) -> list[FloatArray]:
    """Return the (N, 2) convex outlines of B faces and necks, pixels: what can show a shadow of a mask.

    Args:
        landmarks: (B, 68, 2) x, y in pixels, iBUG order.
        frames: the same faces' axes.
    """
    points = _OUTLINE @ landmarks
    vectors, unit = stacked(frames)
    points[:, 27:] += (vectors[:, 3] * (0.55 * unit))[:, None]
    return [np.asarray(cv2.convexHull(own)[:, 0], np.float64) for own in points.astype(np.float32)]


def cast_shadow(
    cover: Field,
    place_xy: tuple[int, int],
    size_wh: tuple[int, int],
    direction: FloatArray,
    skin: FloatArray,
    frame: FaceFrame,
) -> Field:
    """Return the (h, w) float32 part of the light, 0..1, that is missing beside a mask.

    Args:
        cover: (h', w') float32, 0..1, of the mask.
        place_xy: where in the answer its upper left pixel lies.
        size_wh: of the answer.
        direction: (3,) unit vector to the light: the face's `right`, its `down`, towards the camera.
        skin: (N, 2) outline of the skin in pixels of the answer.
        frame: the face's axes.
    """
    shrink = min(1.0, SHADOW_UNIT_PX / frame.unit)
    small_wh = max(1, round(size_wh[0] * shrink)), max(1, round(size_wh[1] * shrink))
    step_x, step_y = small_wh[0] / size_wh[0], small_wh[1] / size_wh[1]
    unit = frame.unit * shrink
    # The further aside the light stands, the longer the shadow; there is always some below the edge.
    (light_x, light_y, _), (right_x, right_y), (down_x, down_y) = (
        vector.tolist() for vector in (direction, frame.right, frame.down)
    )
    away = (
        -light_x * right_x + (0.45 - light_y) * down_x,
        -light_x * right_y + (0.45 - light_y) * down_y,
    )
    move_x, move_y = (FALL_LENGTH * unit * min(max(one, -1.0), 1.0) for one in away)
    x, y = (place_xy[0] + 0.5) * step_x - 0.5, (place_xy[1] + 0.5) * step_y - 0.5
    # The cover is soft enough to be looked up point by point.
    fallen = cv2.warpAffine(cover, np.array([[step_x, 0, x + move_x], [0, step_y, y + move_y]]), small_wh)
    gap = cv2.warpAffine(cover, np.array([[step_x, 0, x], [0, step_y, y]]), small_wh)
    gap = blurred(np.asarray(gap, np.float32), max(0.5, GAP_SIGMA * unit))
    fallen = blurred(np.asarray(fallen, np.float32), max(0.5, FALL_SIGMA * unit))
    seen = np.zeros(small_wh[::-1], np.uint8)
    fixed = (skin + 0.5) * (16 * step_x, 16 * step_y)
    fixed -= 8
    fixed = np.rint(fixed, out=fixed).astype(np.int32)
    cv2.fillConvexPoly(seen, fixed, 255, cv2.LINE_AA, 4)
    fallen *= np.float32(FALL_DEPTH)
    gap *= np.float32(GAP_DEPTH)
    lost = np.maximum(fallen, gap, out=gap)
    lost *= shares(seen)
    # A trace that nobody sees leaves the pixels as they are.
    lost -= np.float32(0.012)
    np.maximum(lost, 0, out=lost)
    return lost if small_wh == size_wh else np.asarray(cv2.resize(lost, size_wh), np.float32)
