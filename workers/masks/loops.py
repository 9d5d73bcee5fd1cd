"""The elastic loops that hold the mask."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.frame import FaceFrame
from workers.masks.mesh import Mesh
from workers.masks.patterns import bgr_of
from workers.masks.raster import SHIFT
from workers.masks.spec import MaskSpec

# Beyond this turn, in radians, the far side's ear is behind the cheek.
FAR_SIDE_YAW = 0.30
# Elastic is about 3 mm wide, where the eyes are 63 mm apart.
WIDTH_PER_UNIT = 0.045
# Points along one band.
STEPS = 12
ELASTIC_BGR = np.array([226, 229, 230], dtype=np.float32)
RUBBER_BGR = np.array([168, 204, 222], dtype=np.float32)


def lay_loops(landmarks: FloatArray, frame: FaceFrame, mesh: Mesh, spec: MaskSpec) -> list[FloatArray]:
    """Return the bands that can be seen, each (N, 2) x, y in pixels from the mask to the ear.

    Args:
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame, mesh: of the same face.
        spec: an `N95` has two straps around the head instead of loops.
    """
    bands = []
    for side, ear, cheek, corners in ((-1, 0, 2, mesh.corners[:2]), (1, 16, 14, mesh.corners[2:])):
        if side * frame.yaw > FAR_SIDE_YAW:
            continue
        # A face that looks away shows more of this side: the ear's back lies further out.
        out = side * frame.right * frame.unit * (0.05 + 0.35 * max(0.0, -side * float(np.sin(frame.yaw))))
        if spec.mask_type == "N95":
            anchors = landmarks[ear] + out - 0.35 * frame.unit * frame.down, landmarks[cheek] + out
        else:
            ear_line = landmarks[cheek] - landmarks[ear]
            anchors = landmarks[ear] + 0.12 * ear_line + out, landmarks[ear] + 0.75 * ear_line + out
        # From a little inside the fabric, so that no gap opens at the soft edge.
        inside = 0.06 * (mesh.corners.mean(axis=0) - corners)
        for start, end in zip(corners + inside, anchors, strict=True):
            bands.append(_bend(start, end, 0.04 * frame.unit * frame.down))
    return bands


def loop_color(spec: MaskSpec) -> npt.NDArray[np.float32]:
    """Return (3,) float32 blue, green, red of the bands in white light."""
    if spec.mask_type == "N95":
        return RUBBER_BGR
    own = bgr_of(spec.color)
    # Dark masks and cloth come with bands of their own colour.
    return own if spec.mask_type == "cloth" or own.max() < 90 else ELASTIC_BGR


def draw_loops(
    bands: list[FloatArray], unit: float, origin_xy: tuple[int, int], size_wh: tuple[int, int], scale: int
) -> npt.NDArray[np.float32]:
    """Return the (h, w) float32 cover of the bands, 0..1; `scale` raster pixels to one of the image."""
    cover = np.zeros((size_wh[1] * scale, size_wh[0] * scale), dtype=np.uint8)
    width = WIDTH_PER_UNIT * unit * scale
    # A band thinner than a pixel is drawn a pixel wide and fainter; where hair or ear hide it, it fades out.
    levels = np.round(255 * min(1.0, width) * np.clip(np.linspace(1.8, 0.1, STEPS - 1), 0, 1)).astype(int)
    for band in bands:
        fixed = np.round(((band - origin_xy + 0.5) * scale - 0.5) * (1 << SHIFT)).astype(int).tolist()
        for step in range(STEPS - 2, -1, -1):
            start, end, level = fixed[step], fixed[step + 1], int(levels[step])
            cv2.line(cover, start, end, level, max(1, round(width)), cv2.LINE_AA, SHIFT)
    return cover.astype(np.float32) / np.float32(255)


def _bend(start: FloatArray, end: FloatArray, sag: FloatArray) -> FloatArray:
    """Return (STEPS, 2) points from start to end that hang through by about half of `sag`."""
    t = np.linspace(0, 1, STEPS)[:, None]
    middle = (start + end) / 2 + sag
    curve: FloatArray = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    return curve
