"""How a head is turned, fitted to its landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.arrays import FloatArray
from workers.masks.frame import FaceFrame

# Points of a grown head that hardly move with its expression: iBUG number, then x to the image's right,
# y down, z towards the viewer, millimetres from between the pupils. Put together for this program from
# means of tables of facial anthropometry: inner and outer corners of the eyes 32 and 90 apart, the nose 51
# long, 35 wide and its tip 20 before its foot, the mouth 50 wide, from nasion to chin 118.
_HEAD_MM = np.array(
    [
        *((36, -45, 1, -11), (39, -16, 2, 0), (42, 16, 2, 0), (45, 45, 1, -11)),
        *((27, 0, -3, 11), (28, 0, 9, 17), (29, 0, 22, 25), (30, 0, 35, 33)),
        *((31, -14, 46, 11), (33, 0, 48, 18), (35, 14, 46, 11)),
        *((48, -25, 72, 5), (51, 0, 65, 18), (54, 25, 72, 5), (57, 0, 82, 15), (8, 0, 114, 8)),
    ],
    dtype=np.float64,
)
_NUMBERS = _HEAD_MM[:, 0].astype(int)
# The mouth opens and the chin sinks with it: they say less than eyes and nose.
_TRUST = np.array([1.0] * 11 + [0.6, 0.5, 0.6, 0.25, 0.25])
_CENTRE = (_TRUST[:, None] * _HEAD_MM[:, 1:]).sum(axis=0) / _TRUST.sum()
_MODEL = _HEAD_MM[:, 1:] - _CENTRE
# Least squares of landmarks = model @ (3, 2), once for all faces, as a (3, 68) matrix: the model is centred,
# so that where the face lies falls out.
_SOLVER = np.zeros((3, 68))
_SOLVER[:, _NUMBERS] = np.linalg.solve((_MODEL * _TRUST[:, None]).T @ _MODEL, (_MODEL * _TRUST[:, None]).T)
# Share of the fitted yaw against that read from the jaw: the nose is short, the jaw is drawn loosely.
FIT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Pose:
    """A head's turn, degrees: yaw > 0 looks to the image's right, pitch > 0 down, roll > 0 leans clockwise."""

    yaw_deg: float
    pitch_deg: float
    roll_deg: float

    def turn(self) -> FloatArray:
        """Return the (3, 3) matrix from the head's axes to those of the face as seen: yaw, then pitch.

        Both are right, down, towards the camera; the roll stays out, the face's own `right` has it.
        """
        yaw, pitch = math.radians(self.yaw_deg), math.radians(self.pitch_deg)
        cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        return np.array([[cy, 0, sy], [-sp * sy, cp, sp * cy], [-cp * sy, -sp, cp * cy]])


def read_poses(landmarks: FloatArray, frames: Sequence[FaceFrame]) -> list[Pose]:
    """Return the poses of B faces by weak perspective: the nearest turn to the best linear map of the model.

    Args:
        landmarks: (B, 68, 2) x, y in pixels, iBUG order, of faces that `judge_landmarks` took.
        frames: theirs; each has the yaw that the jaw line shows.
    """
    maps = (_SOLVER @ landmarks).transpose(0, 2, 1).tolist()
    return [_pose(x, y, frame.yaw) for (x, y), frame in zip(maps, frames, strict=True)]


def _pose(x: list[float], y: list[float], jaw_yaw: float) -> Pose:
    """Return the pose whose turn is nearest to a linear map with two rows."""
    x, y = _orthonormal(x, y)
    # Towards the viewer is positive, so that the axes are left-handed.
    zx, zy, zz = x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]
    yaw, pitch = math.atan2(-zx, zz), -math.asin(min(max(zy, -1.0), 1.0))
    yaw = FIT_SHARE * yaw + (1 - FIT_SHARE) * jaw_yaw
    roll = math.atan2(-x[1], y[1])
    return Pose(*(round(math.degrees(angle), 2) for angle in (yaw, min(max(pitch, -0.7), 0.7), roll)))


def _orthonormal(x: list[float], y: list[float]) -> tuple[list[float], list[float]]:
    """Return the two orthonormal rows nearest to two rows R of three: G^(-1/2) R with G = R R^T.

    The root of a 2 x 2 matrix is (G + sqrt(det G) I) / sqrt(trace G + 2 sqrt(det G)).
    """
    (x0, x1, x2), (y0, y1, y2) = x, y
    xx, xy, yy = x0 * x0 + x1 * x1 + x2 * x2, x0 * y0 + x1 * y1 + x2 * y2, y0 * y0 + y1 * y1 + y2 * y2
    root = math.sqrt(max(xx * yy - xy * xy, 1e-12))
    scale = math.sqrt(xx + yy + 2 * root)
    a, b, d = (xx + root) / scale, xy / scale, (yy + root) / scale
    det = max(a * d - b * b, 1e-12)
    return (
        [(d * x0 - b * y0) / det, (d * x1 - b * y1) / det, (d * x2 - b * y2) / det],
        [(a * y0 - b * x0) / det, (a * y1 - b * x1) / det, (a * y2 - b * x2) / det],
    )
