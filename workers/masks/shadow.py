"""The shadow that a mask throws on the skin beside it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.frame import FaceFrame

Field = npt.NDArray[np.float32]
# The shadow in the gap along the edge, and the wider one that falls away from the light: softness and
# distance in units of the face, and how much of the light each takes. Judged by eye on photographs.
GAP_SIGMA, GAP_DEPTH = 0.035, 0.22
FALL_SIGMA, FALL_LENGTH, FALL_DEPTH = 0.07, 0.13, 0.34
# The shadow is drawn in a picture in which the eyes are at most this many pixels apart.
SHADOW_UNIT_PX = 32.0


def skin_outline(landmarks: FloatArray, frame: FaceFrame) -> FloatArray:
    """Return the (N, 2) convex outline of face and neck, pixels: what can show a shadow of the mask."""
    neck = landmarks[4:13] + 0.55 * frame.unit * frame.down
    neck = neck.mean(axis=0) + 0.8 * (neck - neck.mean(axis=0))
    points = np.concatenate([landmarks[:27], neck]).astype(np.float32)
    return np.asarray(cv2.convexHull(points)[:, 0], np.float64)


def cast_shadow(cover: Field, direction: FloatArray, skin: FloatArray, frame: FaceFrame) -> Field:
    """Return the (h, w) float32 part of the light, 0..1, that is missing beside a mask.

    Args:
        cover: (h, w) float32, 0..1.
        direction: (3,) unit vector to the light: the face's `right`, its `down`, towards the camera.
        skin: (N, 2) outline of the skin in pixels of the window.
        frame: the face's axes.
    """
    height, width = cover.shape
    shrink = min(1.0, SHADOW_UNIT_PX / frame.unit)
    size_wh = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = cover if shrink == 1 else cv2.resize(cover, size_wh, interpolation=cv2.INTER_AREA)
    unit = frame.unit * shrink
    # The further aside the light stands, the longer the shadow; there is always some below the edge.
    away = -direction[0] * frame.right + (0.45 - direction[1]) * frame.down
    move_x, move_y = FALL_LENGTH * unit * np.clip(away, -1, 1)
    shift = np.array([[1, 0, move_x], [0, 1, move_y]])
    fallen = cv2.warpAffine(small, shift, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    fallen = cv2.GaussianBlur(fallen, (0, 0), max(0.5, FALL_SIGMA * unit))
    gap = cv2.GaussianBlur(small, (0, 0), max(0.5, GAP_SIGMA * unit))
    seen = np.zeros(size_wh[::-1], np.uint8)
    cv2.fillConvexPoly(
        seen, np.round(((skin + 0.5) * shrink - 0.5) * 16).astype(np.int32), 255, cv2.LINE_AA, 4
    )
    lost = np.maximum(np.float32(FALL_DEPTH) * fallen, np.float32(GAP_DEPTH) * gap)
    lost *= seen * np.float32(1 / 255)
    # A trace that nobody sees leaves the pixels as they are.
    lost = np.clip(lost - np.float32(0.012), 0, 1)
    return lost if shrink == 1 else np.asarray(cv2.resize(lost, (width, height)), np.float32)
