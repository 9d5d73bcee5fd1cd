"""The elastic loops that hold the mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from workers.masks.colors import bgr_of
from workers.masks.frame import FaceFrame, averages
from workers.masks.light import Light, skin_at
from workers.masks.mesh import Meshes
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
        lit: what the skin along them gets of the light, typical skin 1.
    """

    bands: FloatArray
    seen: FloatArray
    lit: float


_Control = tuple[complex, complex, complex]


def lay_loops(
    images: Sequence[ImageBgr],
    landmarks: FloatArray,
    frames: Sequence[FaceFrame],
    meshes: Meshes,
    specs: Sequence[MaskSpec],
    lights: Sequence[Light],
) -> list[list[Loop]]:
    """Return the loops that can be seen of each of B masks.

    Args:
        images: of each face the picture it is in, (H, W, 3) uint8, in which bare skin and hair are told apart.
        landmarks: (B, 68, 2) x, y in pixels, iBUG order.
        frames, meshes, lights: of the same faces.
        specs: an `N95` has two straps around the head instead of loops.
    """
    control: list[_Control] = []
    sizes: list[list[int]] = []
    corners = meshes.points[:, [0, -1, 0, -1], [0, 0, -1, -1]].view(np.complex128)[..., 0].tolist()
    # The ears and the points of the cheeks before them.
    ends = landmarks[:, [0, 2, 16, 14]].view(np.complex128)[..., 0].tolist()
    for face, (frame, spec) in enumerate(zip(frames, specs, strict=True)):
        curves = _hanging_curves if spec.wear == "hanging" else _curves
        own = curves(ends[face], corners[face], frame, spec)
        # Two small boxes of a large face, one of a small one.
        size = 2 if frame.unit > TOGETHER_UNIT_PX or spec.wear == "hanging" else max(1, len(own))
        sizes.append([size] * (len(own) // size))
        control += own
    if not control:
        return [[] for _ in frames]
    bands = (np.array(control) @ _CURVE).view(np.float64).reshape(-1, STEPS, 2)
    whose = np.repeat(np.arange(len(frames)), [sum(own) for own in sizes])
    seen = _seen(images, landmarks, bands, whose, [max(1.0, 0.03 * frame.unit) for frame in frames])
    hanging = [spec.wear == "hanging" for spec in specs]
    if any(hanging):
        seen[np.array(hanging)[whose]] = 1
    lit = skin_at(lights, bands, whose).mean(axis=1).tolist()
    loops: list[list[Loop]] = []
    first = 0
    for own_sizes in sizes:
        loops.append([])
        for size in own_sizes:
            here = slice(first, first + size)
            loops[-1].append(Loop(bands[here], seen[here], sum(lit[here]) / size))
            first += size
    return loops


def _curves(
    ends: Sequence[complex], corners: Sequence[complex], frame: FaceFrame, spec: MaskSpec
) -> list[_Control]:
    """Return the bands of both sides, or of the one that is seen, two each.

    Args:
        ends: ear and cheek of the image-left side, then of the other.
        corners: of the mask: upper left, lower left, upper right, lower right.
    """
    right, down = complex(*frame.right.tolist()), complex(*frame.down.tolist())
    middle = sum(corners) / 4
    # From a little inside the fabric, so that no gap opens at the soft edge.
    starts = [corner + 0.06 * (middle - corner) for corner in corners]
    sine = math.sin(frame.yaw)
    sag = 0.04 * frame.unit * down
    curves = []
    for side, (ear, cheek), (upper, lower) in (
        (-1, ends[:2], starts[:2]),
        (1, ends[2:], starts[2:]),
    ):
        if side * frame.yaw > FAR_SIDE_YAW:
            continue
        # A face that looks away shows more of this side: the ear's back lies further out.
        out = side * frame.unit * (0.03 + 0.35 * max(0.0, -side * sine)) * right
        if spec.mask_type == "N95":
            high, low = ear + out - 0.35 * frame.unit * down, cheek + 0.5 * out
        else:
            high, low = ear + 0.12 * (cheek - ear) + out, ear + 0.62 * (cheek - ear) + 0.5 * out
        curves += [_sagging(upper, high, sag), _sagging(lower, low, sag)]
    return curves


def _hanging_curves(
    ends: Sequence[complex], corners: Sequence[complex], frame: FaceFrame, _: MaskSpec
) -> list[_Control]:
    """Return both sides of the loop from which a mask hangs, and the free one at its lower end; as `_curves`."""
    side = hanging_side(frame)
    right, down = complex(*frame.right.tolist()), complex(*frame.down.tolist())
    top = ends[2 if side > 0 else 0] + side * 0.05 * frame.unit * right - 0.02 * frame.unit * down
    upper_right, upper_left, lower_right, lower_left = corners
    below = (lower_right + lower_left) / 2 + 0.55 * frame.unit * down
    outwards = 0.25 * (upper_right - upper_left)
    return [
        _sagging(upper_right, top, outwards),
        _sagging(upper_left, top, -0.2 * outwards),
        _sagging(lower_right, below, outwards),
        _sagging(lower_left, below, -outwards),
    ]


def _sagging(start: complex, end: complex, sag: complex) -> _Control:
    """Return start, middle and end of a curve that hangs through by about half of `sag`."""
    return start, (start + end) / 2 + sag, end


def _seen(
    images: Sequence[ImageBgr],
    landmarks: FloatArray,
    bands: FloatArray,
    whose: npt.NDArray[np.intp],
    reach: Sequence[float],
) -> FloatArray:
    """Return (N, STEPS) how much can be seen of bands (N, STEPS, 2): once under hair they stay there.

    Args:
        whose: (N,) which face's they are.
        reach: pixels around a place that count, of each face.
    """
    # The four places on the cheeks of every face, then those of the bands.
    of_cheeks = 4 * len(reach)
    owners = np.concatenate([np.repeat(np.arange(len(reach)), 4), whose.repeat(STEPS)])
    places = np.concatenate([(_CHEEKS @ landmarks).reshape(-1, 2), bands.reshape(-1, 2)])
    colors = _colors_at(images, owners, places, np.array(reach)[owners])
    skin = np.maximum(colors[:of_cheeks].reshape(-1, 4, 3).sum(axis=1) / 4, 4.0)
    ratio = np.maximum(colors[of_cheeks:], 2.0)
    ratio /= skin[owners[of_cheeks:]]
    ratio = np.log(ratio, out=ratio).reshape(*bands.shape[:2], 3)
    # Shade takes all colours alike; hair, sky and wall differ in hue or by far in brightness.
    blue, green, red = ratio[..., 0], ratio[..., 1], ratio[..., 2]
    mean = (blue + green + red) / 3
    ratio -= mean[..., None]
    np.abs(ratio, out=ratio)
    hue = np.maximum(np.maximum(blue, green), red)
    mean += 0.1
    unlike = np.maximum(hue / 0.30, np.abs(mean, out=mean) / 0.75)
    like = within(1.6 - unlike, 0, 1)
    # It leaves the mask in the open; then the least so far counts, softened.
    like[:, :2] = np.maximum(like[:, :2], 0.6)
    least = np.minimum.accumulate(like, axis=1)
    seen = least.copy()
    seen[:, :-1] += least[:, 1:]
    seen[:, -1] += least[:, -1]
    seen /= 2
    return seen


def _colors_at(
    images: Sequence[ImageBgr], whose: npt.NDArray[np.intp], points: FloatArray, reach: FloatArray
) -> FloatArray:
    """Return the (N, 3) mean colours of crosses, (N,) wide, on (N, 2) points; beyond an image those of its border.

    Args:
        images: of each face the picture it is in.
        whose: (N,) which face's the points are.
    """
    places = points[:, None] + reach[:, None, None] * _CROSS
    np.rint(places, out=places)
    last_rows, last_columns = (
        np.array([image.shape[axis] - 1 for image in images])[whose] for axis in (0, 1)
    )
    rows = within(places[..., 1], 0, last_rows[:, None]).astype(np.intp)
    columns = within(places[..., 0], 0, last_columns[:, None]).astype(np.intp)
    first_face = {id(image): face for face, image in reversed(list(enumerate(images)))}
    if len(first_face) == 1:
        found = images[0][rows, columns]
    else:
        found = np.empty((*rows.shape, 3), np.uint8)
        pictures = np.array([first_face[id(image)] for image in images])[whose]
        for face in first_face.values():
            there = (pictures == face).nonzero()[0]
            found[there] = images[face][rows[there], columns[there]]
    mean: FloatArray = found.sum(axis=1, dtype=np.intp) / 5
    return mean


def loop_color(spec: MaskSpec) -> npt.NDArray[np.float32]:
    """Return (3,) float32 blue, green, red of the bands in white light."""
    if spec.mask_type == "N95":
        return RUBBER_BGR
    own = bgr_of(spec.color)
    # Dark masks and cloth come with bands of their own colour.
    return own if spec.mask_type == "cloth" or own.max() < 90 else ELASTIC_BGR
