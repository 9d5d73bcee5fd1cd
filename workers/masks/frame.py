"""The face's own axes, size and turn, read from its 68 points."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class FaceFrame:
    """Axes and measures of one face, in pixels of the image.

    Attributes:
        eyes, mouth: (2,) x, y: between the eyes' centres, between the mouth's corners.
        right, down: (2,) unit vectors of the face as seen, at right angles.
        unit: a distance between the eyes that does not shrink when the face turns.
        height: from brows to chin.
        yaw: radians; positive when the face looks to its `right`.
    """

    eyes: FloatArray
    mouth: FloatArray
    right: FloatArray
    down: FloatArray
    unit: float
    height: float
    yaw: float

    def across(self, points: FloatArray) -> FloatArray:
        """Return (…,) distances of (…, 2) points from the face's axis along `right`."""
        distance: FloatArray = (points - self.eyes) @ self.right
        return distance

    def along(self, points: FloatArray) -> FloatArray:
        """Return (…,) distances of (…, 2) points below the eyes along `down`."""
        distance: FloatArray = (points - self.eyes) @ self.down
        return distance


def read_frame(landmarks: FloatArray) -> FaceFrame:
    """Return the frame of (68, 2) finite points, x, y in iBUG order; a collapsed face has unit 0."""
    eye_left, eye_right = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
    eyes = (eye_left + eye_right) / 2
    mouth = (landmarks[48] + landmarks[54]) / 2
    reach = float(np.hypot(*(mouth - eyes)))
    down = (mouth - eyes) / reach if reach > 0 else np.array([0.0, 1.0])
    right = np.array([down[1], -down[0]])
    unit = max(float(np.hypot(*(eye_right - eye_left))), EYES_PER_MOUTH * reach)
    left_end, bridge, right_end = landmarks[[0, 27, 16]] @ right
    width = right_end - left_end
    asymmetry = (2 * bridge - left_end - right_end) / width if width > 0 else 0.0
    return FaceFrame(
        eyes=eyes,
        mouth=mouth,
        right=right,
        down=down,
        unit=unit,
        height=HEIGHT_PER_UNIT * unit,
        yaw=float(np.arcsin(np.clip(YAW_GAIN * asymmetry, -0.98, 0.98))),
    )
