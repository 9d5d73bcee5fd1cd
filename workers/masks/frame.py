"""The face's own axes, size and turn, read from its 68 points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.arrays import FloatArray

# The sine of the yaw over the asymmetry of the nose bridge between the jaw's ends. A head is about as deep
# as half its width; the far jaw end slides along the silhouette, which keeps the asymmetry below 1.
YAW_GAIN = 0.88
# The distance from eyes to mouth in a frontal face is about 1.1 of that between the eyes; it keeps a
# profile's size, where the eyes meet, and the eyes keep the size of a face that looks up or down.
EYES_PER_MOUTH = 0.9
# Brows to chin over `unit`: the median of the 43 faces of ../shared/faces.
HEIGHT_PER_UNIT = 2.15


def averages(*groups: tuple[int, ...]) -> FloatArray:
    """Return the matrix whose rows, times the 68 points, are the means of groups of them."""
    matrix = np.zeros((len(groups), 68))
    for row, group in enumerate(groups):
        matrix[row, list(group)] = 1 / len(group)
    return matrix


# Both eyes, the mouth's corners, the jaw's ends and the bridge: one product instead of six means.
_PARTS = averages(tuple(range(36, 42)), tuple(range(42, 48)), (48, 54), (0,), (27,), (16,))


@dataclass(frozen=True, slots=True)
class FaceFrame:
    """Axes and measures of one face, in pixels of the image.

    Attributes:
        vectors: (4, 2) x, y: between the eyes' centres, between the mouth's corners; and two unit vectors of the
            face as seen, at right angles, to its right and down.
        unit: a distance between the eyes that does not shrink when the face turns.
        height: from brows to chin.
        yaw: radians; positive when the face looks to its `right`.
    """

    vectors: FloatArray
    unit: float
    height: float
    yaw: float

    @property
    def eyes(self) -> FloatArray:
        """(2,) x, y between the eyes' centres."""
        eyes: FloatArray = self.vectors[0]
        return eyes

    @property
    def mouth(self) -> FloatArray:
        """(2,) x, y between the mouth's corners."""
        mouth: FloatArray = self.vectors[1]
        return mouth

    @property
    def right(self) -> FloatArray:
        """(2,) unit vector to the face's right as seen."""
        right: FloatArray = self.vectors[2]
        return right

    @property
    def down(self) -> FloatArray:
        """(2,) unit vector down the face."""
        down: FloatArray = self.vectors[3]
        return down

    def across(self, points: FloatArray) -> FloatArray:
        """Return (…,) distances of (…, 2) points from the face's axis along `right`."""
        distance: FloatArray = (points - self.eyes) @ self.right
        return distance

    def along(self, points: FloatArray) -> FloatArray:
        """Return (…,) distances of (…, 2) points below the eyes along `down`."""
        distance: FloatArray = (points - self.eyes) @ self.down
        return distance


def stacked(frames: Sequence[FaceFrame]) -> tuple[FloatArray, FloatArray]:
    """Return the (B, 4, 2) vectors and (B, 1) units of frames."""
    return np.array([frame.vectors for frame in frames]), np.array([[frame.unit] for frame in frames])


def read_frame(landmarks: FloatArray) -> FaceFrame:
    """Return the frame of (68, 2) finite points, x, y in iBUG order; a collapsed face has unit 0."""
    return read_frames(landmarks[None])[0]


def read_frames(landmarks: FloatArray) -> list[FaceFrame]:
    """Return the frames of B faces from (B, 68, 2) points."""
    return [_frame(parts) for parts in (_PARTS @ landmarks).tolist()]


def _frame(parts: list[list[float]]) -> FaceFrame:
    """Return the frame of a face from the six points of `_PARTS`."""
    # Plain numbers: on two of them NumPy takes ten times as long.
    (lx, ly), (rx, ry), (mx, my), *ends = parts
    ex, ey = (lx + rx) / 2, (ly + ry) / 2
    reach = math.hypot(mx - ex, my - ey)
    dx, dy = ((mx - ex) / reach, (my - ey) / reach) if reach > 0 else (0.0, 1.0)
    unit = max(math.hypot(rx - lx, ry - ly), EYES_PER_MOUTH * reach)
    left_end, bridge, right_end = (dy * x - dx * y for x, y in ends)
    width = right_end - left_end
    asymmetry = (2 * bridge - left_end - right_end) / width if width > 0 else 0.0
    return FaceFrame(
        vectors=np.array(((ex, ey), (mx, my), (dy, -dx), (dx, dy))),
        unit=unit,
        height=HEIGHT_PER_UNIT * unit,
        yaw=math.asin(min(max(YAW_GAIN * asymmetry, -0.98), 0.98)),
    )
