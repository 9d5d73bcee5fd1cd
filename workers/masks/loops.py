"""The elastic loops that hold the mask."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from workers.masks.colors import bgr_of
from workers.masks.frame import FaceFrame
from workers.masks.mesh import Mesh
from workers.masks.raster import SHIFT
from workers.masks.spec import MaskSpec
from workers.masks.wearing import hanging_side

# Beyond this turn, in radians, the far side's ear is behind the cheek.
FAR_SIDE_YAW = 0.30
# Elastic is about 3 mm wide, where the eyes are 63 mm apart.
WIDTH_PER_UNIT = 0.045
# Points along one band.
STEPS = 10
ELASTIC_BGR = np.array([226, 229, 230], dtype=np.float32)
RUBBER_BGR = np.array([168, 204, 222], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Band:
    """One side of a loop.

    Attributes:
        points: (STEPS, 2) x, y in pixels from the mask to the ear.
        seen: (STEPS,) how much of it can be seen there, 0..1; hair hides it.
    """

    points: FloatArray
    seen: FloatArray


def lay_loops(
    image_bgr: ImageBgr, landmarks: FloatArray, frame: FaceFrame, mesh: Mesh, spec: MaskSpec
) -> list[Band]:
    """Return the bands that can be seen.

    Args:
        image_bgr: (H, W, 3) uint8, in which bare skin and hair are told apart.
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame, mesh: of the same face.
        spec: an `N95` has two straps around the head instead of loops.
    """
    if spec.wear == "hanging":
        return _hanging_loop(landmarks, frame, mesh)
    bands = []
    for side, ear, cheek, corners in ((-1, 0, 2, mesh.corners[:2]), (1, 16, 14, mesh.corners[2:])):
        if side * frame.yaw > FAR_SIDE_YAW:
            continue
        # A face that looks away shows more of this side: the ear's back lies further out.
        out = side * frame.right * frame.unit * (0.03 + 0.35 * max(0.0, -side * float(np.sin(frame.yaw))))
        if spec.mask_type == "N95":
            anchors = landmarks[ear] + out - 0.35 * frame.unit * frame.down, landmarks[cheek] + 0.5 * out
        else:
            ear_line = landmarks[cheek] - landmarks[ear]
            anchors = landmarks[ear] + 0.12 * ear_line + out, landmarks[ear] + 0.62 * ear_line + 0.5 * out
        # From a little inside the fabric, so that no gap opens at the soft edge.
        inside = 0.06 * (mesh.corners.mean(axis=0) - corners)
        for start, end in zip(corners + inside, anchors, strict=True):
            bands.append(_bend(start, end, 0.04 * frame.unit * frame.down))
    if not bands:
        return []
    return [
        Band(*pair) for pair in zip(bands, _seen(image_bgr, landmarks, np.stack(bands), frame), strict=True)
    ]


def _hanging_loop(landmarks: FloatArray, frame: FaceFrame, mesh: Mesh) -> list[Band]:
    """Return both sides of the loop from which a mask hangs, and the free one at its lower end."""
    side = hanging_side(frame)
    ear = landmarks[16 if side > 0 else 0]
    top = ear + side * 0.05 * frame.unit * frame.right - 0.02 * frame.unit * frame.down
    upper_right, upper_left, lower_right, lower_left = mesh.corners
    whole = np.ones(STEPS)
    below = (lower_right + lower_left) / 2 + 0.55 * frame.unit * frame.down
    outwards = 0.25 * (upper_right - upper_left)
    return [
        Band(_bend(upper_right, top, outwards), whole),
        Band(_bend(upper_left, top, -0.2 * outwards), whole),
        Band(_bend(lower_right, below, outwards), whole),
        Band(_bend(lower_left, below, -outwards), whole),
    ]


def _seen(image_bgr: ImageBgr, landmarks: FloatArray, bands: FloatArray, frame: FaceFrame) -> FloatArray:
    """Return (B, STEPS) how much can be seen of bands (B, STEPS, 2): once under hair they stay there."""
    # The cheeks below the eyes tell what skin is here; a cross of five pixels tells skin from an eyelash.
    cheeks = (landmarks[[41, 46, 40, 47]] + landmarks[[31, 35, 31, 35]]) / 2
    skin = np.maximum(_colors_at(image_bgr, cheeks, frame.unit).mean(axis=0), 4.0)
    there = _colors_at(image_bgr, bands.reshape(-1, 2), frame.unit).reshape(*bands.shape[:2], 3)
    ratio = np.log(np.maximum(there, 2.0) / skin)
    # Shade takes all colours alike; hair, sky and wall differ in hue or by far in brightness.
    hue = np.abs(ratio - ratio.mean(axis=-1, keepdims=True)).max(axis=-1)
    unlike = np.maximum(hue / 0.30, np.abs(ratio.mean(axis=-1) + 0.1) / 0.75)
    like = np.clip(1.6 - unlike, 0, 1)
    # It leaves the mask in the open; then the least so far counts, softened.
    like[:, :2] = np.maximum(like[:, :2], 0.6)
    least = np.minimum.accumulate(like, axis=1)
    ahead = np.concatenate([least[:, 1:], least[:, -1:]], axis=1)
    seen: FloatArray = (least + ahead) / 2
    return seen


def _colors_at(image_bgr: ImageBgr, points: FloatArray, unit: float) -> FloatArray:
    """Return the (N, 3) colours around (N, 2) points; beyond the image those of its border."""
    arm = max(1.0, 0.03 * unit)
    cross = arm * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    places = np.round(points[:, None] + cross).astype(int)
    height, width = image_bgr.shape[:2]
    colors = image_bgr[places[..., 1].clip(0, height - 1), places[..., 0].clip(0, width - 1)]
    mean: FloatArray = colors.mean(axis=1)
    return mean


def loop_color(spec: MaskSpec) -> npt.NDArray[np.float32]:
    """Return (3,) float32 blue, green, red of the bands in white light."""
    if spec.mask_type == "N95":
        return RUBBER_BGR
    own = bgr_of(spec.color)
    # Dark masks and cloth come with bands of their own colour.
    return own if spec.mask_type == "cloth" or own.max() < 90 else ELASTIC_BGR


def draw_loops(
    bands: list[Band], unit: float, origin_xy: tuple[int, int], size_wh: tuple[int, int], scale: int
) -> npt.NDArray[np.float32]:
    """Return the (h, w) float32 cover of the bands, 0..1; `scale` raster pixels to one of the image."""
    cover = np.zeros((size_wh[1] * scale, size_wh[0] * scale), dtype=np.uint8)
    width = WIDTH_PER_UNIT * unit * scale
    # A band thinner than a pixel is drawn a pixel wide and fainter; where hair or ear hide it, it fades out.
    fading = 255 * min(1.0, width) * np.clip(np.linspace(1.8, 0.1, STEPS - 1), 0, 1)
    for band in bands:
        levels = np.round(fading * band.seen[1:]).astype(int)
        fixed = np.round(((band.points - origin_xy + 0.5) * scale - 0.5) * (1 << SHIFT)).astype(int).tolist()
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
