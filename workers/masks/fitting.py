"""Masks fitted to the faces of some pictures, all in one go: where they lie, in which light, what holds them.

Whatever is worked out for one face does not depend on the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.errors import UndrawableFace
from workers.masks.frame import FaceFrame, read_frame
from workers.masks.judge import judge_landmarks, judge_mesh
from workers.masks.light import Light, directions, patches_at
from workers.masks.loops import Loop, lay_loops
from workers.masks.mesh import Mesh, Meshes, grid_of, lay_meshes
from workers.masks.planes import Field
from workers.masks.pose import Pose, read_poses
from workers.masks.reading import FaceReading, read_faces
from workers.masks.shading import shade_meshes, with_sides
from workers.masks.spec import MaskSpec

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Wearer:
    """A face and what it is to wear.

    Attributes:
        image_bgr: (H, W, 3) uint8, the picture it is in, without masks on these faces.
        landmarks: (68, 2) x, y in pixels, iBUG order; may lie outside the image.
        spec: what it wears.
        limit_xyxy: no pixel outside changes; maxima exclusive. Default: `default_limit`.
        points5: (5, 2), where a detector saw eyes, nose and the mouth's corners.
        reading: of the same face in the same image, where there is one.
    """

    image_bgr: ImageBgr
    landmarks: FloatArray
    spec: MaskSpec
    limit_xyxy: tuple[float, float, float, float] | None = None
    points5: FloatArray | None = None
    reading: FaceReading | None = None


@dataclass(frozen=True, slots=True)
class WornMask:
    """Everything that decides how a mask looks on one face.

    Attributes:
        spec: what is worn.
        reading: of the face.
        mesh: over it.
        loops: those that can be seen.
        light: on the face, turned so that the mask's sides show what they should.
        towards: (3,) unit vector to where most of it comes from.
        shade: (R, C, 6) of `shade_meshes`, that light on the mesh.
        limit: x1, y1, x2, y2 outside which no pixel changes, whole pixels of the image.
    """

    spec: MaskSpec
    reading: FaceReading
    mesh: Mesh
    loops: list[Loop]
    light: Light
    towards: FloatArray
    shade: Field
    limit: Box

    @property
    def edge_px(self) -> float:
        """The sigma of the mask's soft edge on the cheeks.

        Real masks' edges rise from 10 to 90 % over about 5 pixels (sigma 1.9) where the eyes are 40 apart:
        the fabric is round there, and the photograph blurred. The roundness grows slower than the face.
        """
        blur_px = min(self.reading.optics.blur_px, 0.12 * self.reading.frame.unit)
        return math.hypot(1.3 * (self.reading.frame.unit / 40) ** 0.4, blur_px)

    @property
    def rim_px(self) -> float:
        """The sigma of the edge along jaw and chin, where the fabric ends before neck and background."""
        blur_px = min(self.reading.optics.blur_px, 0.12 * self.reading.frame.unit)
        return math.hypot(0.75 * (self.reading.frame.unit / 40) ** 0.4, blur_px)

    @property
    def margin_px(self) -> int:
        """How far beyond the mesh the mask may cover a pixel."""
        return math.ceil(3 * self.edge_px) + 2

    @property
    def shadow_px(self) -> int:
        """How far beyond that its shadow may fall."""
        return math.ceil(0.21 * self.reading.frame.unit)


def fit_masks(wearers: Sequence[Wearer]) -> list[WornMask | UndrawableFace]:
    """Return the masks as they are worn, and for faces that are left alone why."""
    fitted: dict[int, WornMask | UndrawableFace] = {}
    frames: dict[int, tuple[FaceFrame, Pose]] = {}
    fresh = []
    for number, wearer in enumerate(wearers):
        if wearer.reading is None:
            fresh.append(number)
        else:
            frames[number] = wearer.reading.frame, wearer.reading.pose
    frames.update(_framed([wearers[number] for number in fresh], fresh, fitted))
    by_grid: dict[tuple[int, int], list[int]] = {}
    for number in sorted(frames):
        by_grid.setdefault(grid_of(frames[number][0].unit), []).append(number)
    laid = [_laid(grid, numbers, wearers, frames, fitted) for grid, numbers in by_grid.items()]
    unread = [number for group in laid for number in group.numbers if wearers[number].reading is None]
    readings = {number: wearer.reading for number, wearer in enumerate(wearers) if wearer.reading}
    if unread:
        landmarks = np.array([wearers[number].landmarks for number in unread], np.float64)
        axes, poses = zip(*(frames[number] for number in unread), strict=True)
        images = [wearers[number].image_bgr for number in unread]
        readings.update(zip(unread, read_faces(images, landmarks, axes, poses), strict=True))
    for group in laid:
        fitted.update(_worn(group, wearers, readings))
    return [fitted[number] for number in range(len(wearers))]


def _framed(
    wearers: Sequence[Wearer], numbers: Sequence[int], refused: dict[int, WornMask | UndrawableFace]
) -> dict[int, tuple[FaceFrame, Pose]]:
    """Return axes and turns of faces by their numbers; those that make no sense go to `refused`."""
    if not wearers:
        return {}
    landmarks = np.array([wearer.landmarks for wearer in wearers], np.float64)
    judged = judge_landmarks(landmarks, [wearer.points5 for wearer in wearers])
    frames = []
    taken = []
    for place, (number, frame) in enumerate(zip(numbers, judged, strict=True)):
        if isinstance(frame, UndrawableFace):
            refused[number] = frame
        else:
            frames.append(frame)
            taken.append(place)
    if not taken:
        return {}
    poses = read_poses(landmarks[taken], frames)
    return {numbers[place]: both for place, both in zip(taken, zip(frames, poses, strict=True), strict=True)}


@dataclass(frozen=True, slots=True)
class _Laid:
    """Meshes of one grid; `numbers` says on which faces, (B, 68, 2) landmarks where those have their points."""

    numbers: list[int]
    landmarks: FloatArray
    meshes: Meshes
    each: list[Mesh]
    limits: list[Box]


def _laid(
    grid: tuple[int, int],
    numbers: list[int],
    wearers: Sequence[Wearer],
    frames: dict[int, tuple[FaceFrame, Pose]],
    refused: dict[int, WornMask | UndrawableFace],
) -> _Laid:
    """Return meshes on those faces that can wear them; the others go to `refused`."""
    landmarks = np.array([wearers[number].landmarks for number in numbers], np.float64)
    axes, poses = zip(*(frames[number] for number in numbers), strict=True)
    meshes = lay_meshes(landmarks, axes, poses, [wearers[number].spec for number in numbers], grid)
    each = meshes.each()
    limits = [
        _whole_pixels(
            wearers[number].limit_xyxy or default_limit(points), wearers[number].image_bgr.shape[1::-1]
        )
        for number, points in zip(numbers, landmarks, strict=True)
    ]
    taken = []
    for place, (number, mesh, limit) in enumerate(zip(numbers, each, limits, strict=True)):
        undrawable = judge_mesh(mesh, frames[number][0], limit)
        if undrawable is None:
            taken.append(place)
        else:
            refused[number] = undrawable
    if len(taken) == len(numbers):
        return _Laid(numbers, landmarks, meshes, each, limits)
    return _Laid(
        [numbers[place] for place in taken],
        landmarks[taken],
        Meshes(meshes.points[taken], meshes.depth[taken], meshes.normals[taken]),
        [each[place] for place in taken],
        [limits[place] for place in taken],
    )


def _worn(laid: _Laid, wearers: Sequence[Wearer], readings: dict[int, FaceReading]) -> dict[int, WornMask]:
    """Return the masks of some meshes by the faces' numbers."""
    if not laid.numbers:
        return {}
    specs = [wearers[number].spec for number in laid.numbers]
    own = [readings[number] for number in laid.numbers]
    frames, lights = [reading.frame for reading in own], [reading.light for reading in own]
    patches = patches_at(lights, laid.meshes.points)
    turned = with_sides(lights, laid.meshes, frames, patches)
    # What hangs from an ear has no side that should be as bright as the face's.
    lights = [
        light if spec.wear == "hanging" else with_side
        for light, with_side, spec in zip(lights, turned, specs, strict=True)
    ]
    towards = directions(np.array([light.harmonics for light in lights]))
    shades = shade_meshes(lights, towards, laid.meshes, patches)
    images = [wearers[number].image_bgr for number in laid.numbers]
    loops = lay_loops(images, laid.landmarks, frames, laid.meshes, specs, lights)
    return {
        number: WornMask(*parts)
        for number, parts in zip(
            laid.numbers,
            zip(specs, own, laid.each, loops, lights, towards, shades, laid.limits, strict=True),
            strict=True,
        )
    }


def default_limit(landmarks: FloatArray) -> tuple[float, float, float, float]:
    """Return x1, y1, x2, y2 around a face: its points and forehead, grown by half of that on each side.

    Args:
        landmarks: (68, 2) x, y in pixels, iBUG order.
    """
    frame = read_frame(landmarks)
    # From brows to hairline a face is about 0.9 of the distance between the eyes.
    forehead = landmarks[17:27] - 0.9 * frame.unit * frame.down
    points = np.concatenate([landmarks, forehead])
    low, high = points.min(axis=0), points.max(axis=0)
    grow = (high - low) / 2
    (x1, y1), (x2, y2) = (low - grow).tolist(), (high + grow).tolist()
    return x1, y1, x2, y2


def _whole_pixels(limit_xyxy: tuple[float, float, float, float], size_wh: Sequence[int]) -> Box:
    """Return the pixels that lie wholly in a box and in the image; maxima exclusive."""
    x1, y1, x2, y2 = limit_xyxy
    return (
        max(0, math.ceil(x1)),
        max(0, math.ceil(y1)),
        min(size_wh[0], math.floor(x2)),
        min(size_wh[1], math.floor(y2)),
    )
