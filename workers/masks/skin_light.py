"""The light on the faces of some pictures, read from their skin, all in one go.

On one face's 24 x 24 samples most of the time goes to NumPy's calls; of two dozen faces they take a few times as long.
What stands in one face's place never depends on the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from workers.masks.frame import FaceFrame, stacked
from workers.masks.harmonics import fit_terms, head_normals, terms
from workers.masks.light import (
    FROM_ABOVE,
    LUMA,
    SAMPLES,
    Light,
    exposure_of,
    saturation_of,
    tint_of,
)
from workers.masks.planes import Field, blurred, within
from workers.masks.pose import Pose
from workers.masks.ranks import place_of
from workers.masks.sides import read_asymmetries

# How much forehead above the brows the small copies show, in units.
FOREHEAD = 0.5
_OUTLINE = [*range(17), *range(26, 16, -1)]
_PIXELS = SAMPLES * SAMPLES


@dataclass(frozen=True, slots=True)
class _Copies:
    """Small copies of B faces with their foreheads, each in the upper left of its square.

    Attributes:
        bgr: (3, B, SAMPLES, SAMPLES) float32; 0 beyond the copy.
        sizes_wh: of each.
        fits: (B, 4): pixels of the copy to one of the image across and down, and what is added before to x and y.
    """

    bgr: npt.NDArray[np.float32]
    sizes_wh: list[tuple[int, int]]
    fits: FloatArray


def read_lights(
    images: Sequence[ImageBgr], landmarks: FloatArray, frames: Sequence[FaceFrame], poses: Sequence[Pose]
) -> list[Light]:
    """Return the light on each of B faces, of which at least a part lies in the image.

    Args:
        images: of each face the picture it is in, (H, W, 3) uint8 without masks on these faces.
        landmarks: (B, 68, 2) x, y in pixels, iBUG order.
        frames, poses: the same faces' axes and turns.
    """
    copies = _small_copies(images, landmarks, frames)
    skin = _skin(landmarks, copies)
    blue, green, red = copies.bgr
    luma = blue * LUMA[0]
    luma += green * LUMA[1]
    luma += red * LUMA[2]
    across, along = _places(frames, copies)
    there = skin.reshape(-1).nonzero()[0]
    bare, below = luma.reshape(-1)[there], along.reshape(-1)[there]
    ends = there.searchsorted(np.arange(_PIXELS, skin.size + 1, _PIXELS))
    counts = ends.copy()
    counts[1:] -= ends[:-1]
    ordered = [
        np.sort(bare[end - count : end]) for end, count in zip(ends.tolist(), counts.tolist(), strict=True)
    ]
    typical = np.array([max(part.item(place_of(0.5, len(part))), 4.0) for part in ordered])
    turns = np.array([pose.turn() for pose in poses])
    normals, seen = head_normals(across.reshape(-1)[there], below, turns, counts)
    # Below the nose beards and open mouths darken the skin: the upper face is believed more.
    trust: FloatArray = np.where(below < 0.65, 1.0, 0.35) * seen
    by_term = terms(normals)
    each_typical = typical.repeat(counts)
    harmonics, fitted = fit_terms(
        by_term,
        bare / each_typical,
        trust,
        [part / middle for part, middle in zip(ordered, typical, strict=True)],
    )
    rest = np.zeros(luma.shape, np.float32)
    rest.reshape(-1)[there] = bare / within(fitted, 0.2, 2.0, out=fitted)
    all_light, patches = _smooth(skin, luma, rest, typical, copies.sizes_wh)
    harmonics[:, 2] += FROM_ABOVE
    flat_bgr = copies.bgr.reshape(3, -1, _PIXELS)
    brightest, dullest = (
        choice(choice(flat_bgr[0], flat_bgr[1]), flat_bgr[2]).sum(axis=-1).tolist()
        for choice in (np.maximum, np.minimum)
    )
    skin_bgr = ((flat_bgr * skin.reshape(-1, _PIXELS)).sum(axis=-1) / counts).T.tolist()
    lights = []
    for face, asymmetry in enumerate(read_asymmetries(luma, skin, across, along)):
        size_wh, own = copies.sizes_wh[face], ordered[face]
        saturation = saturation_of(brightest[face], dullest[face], size_wh[0] * size_wh[1])
        lights.append(
            Light(
                exposure=exposure_of(own.item(place_of(0.97, len(own))), typical.item(face)),
                tint=tint_of(skin_bgr[face], saturation),
                saturation=saturation,
                harmonics=harmonics[face],
                asymmetry=asymmetry,
                patches=patches[face],
                skin=all_light[face],
                to_map=(*copies.fits[face].tolist(), size_wh[0] - 1, size_wh[1] - 1),
            )
        )
    return lights


def _small_copies(images: Sequence[ImageBgr], landmarks: FloatArray, frames: Sequence[FaceFrame]) -> _Copies:
    """Return float32 copies of faces and foreheads, at most `SAMPLES` a side."""
    vectors, unit = stacked(frames)
    up = vectors[:, 3] * (FOREHEAD * unit)
    around = np.concatenate([landmarks, landmarks[:, 17:27] - up[:, None]], axis=1)
    bgr = np.zeros((3, len(frames), SAMPLES, SAMPLES), np.float32)
    sizes, fits = [], []
    low, high = around.min(axis=1).tolist(), around.max(axis=1).tolist()
    for face, ((left, top), (right, bottom)) in enumerate(zip(low, high, strict=True)):
        image_bgr = images[face]
        height, width = image_bgr.shape[:2]
        x1, y1 = min(max(math.floor(left), 0), width - 1), min(max(math.floor(top), 0), height - 1)
        x2 = min(max(math.ceil(right) + 1, x1 + 1), width)
        y2 = min(max(math.ceil(bottom) + 1, y1 + 1), height)
        longer = max(x2 - x1, y2 - y1)
        shrink = min(1.0, SAMPLES / longer)
        columns, rows = max(1, round((x2 - x1) * shrink)), max(1, round((y2 - y1) * shrink))
        # Of a large face every n-th pixel is enough, three to a pixel of the copy each way.
        step = max(1, longer // (3 * SAMPLES))
        small = cv2.resize(image_bgr[y1:y2:step, x1:x2:step], (columns, rows), interpolation=cv2.INTER_AREA)
        bgr[:, face, :rows, :columns] = small.transpose(2, 0, 1)
        sizes.append((columns, rows))
        fits.append((columns / (x2 - x1), rows / (y2 - y1), 0.5 - x1, 0.5 - y1))
    return _Copies(bgr, sizes, np.array(fits))


def _places(frames: Sequence[FaceFrame], copies: _Copies) -> tuple[FloatArray, FloatArray]:
    """Return (B, h, w) how far right of and below the eyes the small copies' pixels lie, in units."""
    vectors, unit = stacked(frames)
    eyes, _, right, down = vectors.swapaxes(0, 1)
    pixel = 1 / copies.fits[:, :2]
    first = (0.5 * pixel - copies.fits[:, 2:] - eyes) / unit
    # (B, 2, SAMPLES): x of the columns, y of the rows.
    on_axis = np.arange(SAMPLES) * (pixel / unit)[..., None]
    on_axis += first[..., None]
    across, along = (
        (on_axis[:, 0] * axis[:, :1])[:, None, :] + (on_axis[:, 1] * axis[:, 1:])[:, :, None]
        for axis in (right, down)
    )
    return across, along


def _skin(landmarks: FloatArray, copies: _Copies) -> npt.NDArray[np.bool_]:
    """Return the (B, h, w) pixels of the small copies between brows and jaw; all where that leaves none."""
    outline = landmarks[:, _OUTLINE] + copies.fits[:, None, 2:]
    outline *= copies.fits[:, None, :2]
    outline -= 0.5
    middle = outline.sum(axis=1, keepdims=True) / len(_OUTLINE)
    # A little smaller, so that hair and background at the silhouette stay out.
    outline -= middle
    outline *= 0.92
    outline += middle
    outline *= 16
    inside = np.zeros(copies.bgr.shape[1:], dtype=np.uint8)
    for plane, own, size_wh in zip(
        inside, np.rint(outline, out=outline).astype(np.int32, order="C"), copies.sizes_wh, strict=True
    ):
        cv2.fillPoly(plane, [own], 1, cv2.LINE_8, 4)
        filled = _filled(size_wh)
        plane &= filled
        if not plane.any():
            plane[...] = filled
    return inside.view(np.bool_)


@lru_cache(maxsize=SAMPLES * SAMPLES)
def _filled(size_wh: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return the (h, w) square with ones where a copy of that size lies."""
    filled = np.zeros((SAMPLES, SAMPLES), np.uint8)
    filled[: size_wh[1], : size_wh[0]] = 1
    filled.setflags(write=False)
    return filled


def _smooth(
    skin: npt.NDArray[np.bool_],
    luma: Field,
    rest: Field,
    typical: FloatArray,
    sizes_wh: Sequence[tuple[int, int]],
) -> tuple[Field, Field]:
    """Return (B, h, w) all light on the skin and (B, h, w) patches, smooth, from the skin alone.

    Args:
        skin, luma: (B, h, w), what is skin and how bright.
        rest: (B, h, w) luminance over what the harmonics tell, 0 where there is no skin.
        typical: (B,) luminance.
        sizes_wh: of the copies.
    """
    maps = np.empty((*skin.shape, 3), np.float32)
    maps[..., 0] = skin
    np.multiply(luma, skin, out=maps[..., 1])
    maps[..., 2] = rest
    for plane, (columns, rows) in zip(maps, sizes_wh, strict=True):
        own = plane[:rows, :columns]
        own[...] = blurred(own, max(1.0, 0.12 * max(rows, columns)))
    share = np.maximum(maps[..., 0], 1e-3)
    share *= typical.astype(np.float32)[:, None, None]
    all_light, patches = (np.asarray(maps[..., part] / share, np.float32) for part in (1, 2))
    within(patches, 0.5, 1.6, out=patches)
    # Three quarters of them go over to the mask, as a logarithm.
    patches *= np.sqrt(patches)
    return within(all_light, 0.3, 1.5, out=all_light), np.sqrt(patches, out=patches)
