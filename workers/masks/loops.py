"""The elastic loops that hold the mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from workers.masks.colors import bgr_of
from workers.masks.frame import FaceFrame, as_plain, averages
from workers.masks.mesh import Mesh
from workers.masks.planes import within
from workers.masks.spec import MaskSpec
from workers.masks.wearing import hanging_side

# Beyond this turn, in radians, the far side's ear is behind the cheek.
FAR_SIDE_YAW = 0.30
# Where the eyes are closer than this, pixels, both sides are drawn together.
TOGETHER_UNIT_PX = 34.0
# Points along one band.
STEPS = 8
_T = np.linspace(0, 1, STEPS)
# Start, middle and end in the points of a quadratic curve.
_CURVE = np.stack([(1 - _T) ** 2, 2 * _T * (1 - _T), _T**2]).astype(np.complex128)
_THIRDS = np.full(3, 1 / 3)
# The cheeks below the eyes tell what skin is here; a cross of five pixels tells skin from an eyelash.
_CHEEKS = averages((41, 31), (46, 35), (40, 31), (47, 35))
_CROSS = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
ELASTIC_BGR = np.array([226, 229, 230], dtype=np.float32)
RUBBER_BGR = np.array([168, 204, 222], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Loop:
    """The bands of one side.

    Attributes:
        bands: (B, STEPS, 2) x, y in pixels from the mask to the ear.
        seen: (B, STEPS) how much of them can be seen there, 0..1; hair hides them.
    """

    bands: FloatArray
    seen: FloatArray


def lay_loops(
    image_bgr: ImageBgr, landmarks: FloatArray, frame: FaceFrame, mesh: Mesh, spec: MaskSpec
) -> list[Loop]:
    """Return the loops that can be seen.

    Args:
        image_bgr: (H, W, 3) uint8, in which bare skin and hair are told apart.
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame, mesh: of the same face.
        spec: an `N95` has two straps around the head instead of loops.
    """
    if spec.wear == "hanging":
        return _hanging_loop(landmarks, frame, mesh)
    starts, ends = [], []
    points, corners = as_plain(landmarks), as_plain(mesh.corners)
    right, down = as_plain(np.array([frame.right, frame.down]))
    middle = sum(corners) / 4
    # From a little inside the fabric, so that no gap opens at the soft edge.
    inside = [corner + 0.06 * (middle - corner) for corner in corners]
    sine = math.sin(frame.yaw)
    for side, ear_number, cheek_number in ((-1, 0, 2), (1, 16, 14)):
        if side * frame.yaw > FAR_SIDE_YAW:
            continue
        ear, cheek = points[ear_number], points[cheek_number]
        # A face that looks away shows more of this side: the ear's back lies further out.
        out = side * frame.unit * (0.03 + 0.35 * max(0.0, -side * sine)) * right
        if spec.mask_type == "N95":
            ends += [ear + out - 0.35 * frame.unit * down, cheek + 0.5 * out]
        else:
            ear_line = cheek - ear
            ends += [ear + 0.12 * ear_line + out, ear + 0.62 * ear_line + 0.5 * out]
        starts += inside[:2] if side < 0 else inside[2:]
    if not starts:
        return []
    bands = _bend(starts, ends, [0.04 * frame.unit * down] * len(starts))
    seen = _seen(image_bgr, landmarks, bands, frame)
    # Two small boxes of a large face, one of a small one.
    size = 2 if frame.unit > TOGETHER_UNIT_PX else len(bands)
    return [
        Loop(bands[first : first + size], seen[first : first + size]) for first in range(0, len(bands), size)
    ]


def _hanging_loop(landmarks: FloatArray, frame: FaceFrame, mesh: Mesh) -> list[Loop]:
    """Return both sides of the loop from which a mask hangs, and the free one at its lower end."""
    side = hanging_side(frame)
    right, down, ear = as_plain(np.array([frame.right, frame.down, landmarks[16 if side > 0 else 0]]))
    top = ear + side * 0.05 * frame.unit * right - 0.02 * frame.unit * down
    upper_right, upper_left, lower_right, lower_left = starts = as_plain(mesh.corners)
    below = (lower_right + lower_left) / 2 + 0.55 * frame.unit * down
    outwards = 0.25 * (upper_right - upper_left)
    bands = _bend(starts, [top, top, below, below], [outwards, -0.2 * outwards, outwards, -outwards])
    return [Loop(bands[:2], np.ones((2, STEPS))), Loop(bands[2:], np.ones((2, STEPS)))]


def _seen(image_bgr: ImageBgr, landmarks: FloatArray, bands: FloatArray, frame: FaceFrame) -> FloatArray:
    """Return (B, STEPS) how much can be seen of bands (B, STEPS, 2): once under hair they stay there."""
    colors = _colors_at(
        image_bgr, np.concatenate([_CHEEKS @ landmarks, bands.reshape(-1, 2)]), max(1.0, 0.03 * frame.unit)
    )
    skin = np.maximum(colors[:4].sum(axis=0) / 4, 4.0)
    ratio = np.maximum(colors[4:], 2.0)
    ratio /= skin
    np.log(ratio, out=ratio)
    # Shade takes all colours alike; hair, sky and wall differ in hue or by far in brightness.
    mean = ratio @ _THIRDS
    ratio -= mean[:, None]
    hue = np.abs(ratio, out=ratio).max(axis=1)
    mean += 0.1
    unlike = np.maximum(hue / 0.30, np.abs(mean, out=mean) / 0.75)
    like = within(1.6 - unlike, 0, 1).reshape(bands.shape[:2])
    # It leaves the mask in the open; then the least so far counts, softened.
    like[:, :2] = np.maximum(like[:, :2], 0.6)
    least = np.minimum.accumulate(like, axis=1)
    seen = least.copy()
    seen[:, :-1] += least[:, 1:]
    seen[:, -1] += least[:, -1]
    seen /= 2
    return seen


def _colors_at(image_bgr: ImageBgr, points: FloatArray, reach: float) -> FloatArray:
    """Return the (N, 3) mean colours of crosses on (N, 2) points; beyond the image those of its border."""
    places = points[:, None] + reach * _CROSS
    np.rint(places, out=places)
    height, width = image_bgr.shape[:2]
    rows, columns = within(places[..., 1], 0, height - 1), within(places[..., 0], 0, width - 1)
    mean: FloatArray = image_bgr[rows.astype(np.intp), columns.astype(np.intp)].sum(axis=1) / 5
    return mean


def loop_color(spec: MaskSpec) -> npt.NDArray[np.float32]:
    """Return (3,) float32 blue, green, red of the bands in white light."""
    if spec.mask_type == "N95":
        return RUBBER_BGR
    own = bgr_of(spec.color)
    # Dark masks and cloth come with bands of their own colour.
    return own if spec.mask_type == "cloth" or own.max() < 90 else ELASTIC_BGR


def _bend(starts: Sequence[complex], ends: Sequence[complex], sags: Sequence[complex]) -> FloatArray:
    """Return (B, STEPS, 2) points from B starts to ends that hang through by about half of `sags`."""
    control = [
        (start, (start + end) / 2 + sag, end) for start, end, sag in zip(starts, ends, sags, strict=True)
    ]
    return (np.array(control) @ _CURVE).view(np.float64).reshape(-1, STEPS, 2)
