"""What the light on faces does to the fabric of masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.fabrics import Fabric
from workers.masks.frame import FaceFrame, stacked
from workers.masks.light import LEAST_LEVEL, LUMA, Light, grey_of, mean_level
from workers.masks.mesh import Meshes, cross
from workers.masks.planes import Field, in_color, wide, within
from workers.masks.sides import COLUMNS

# How far light goes up and down on a surface that faces the camera, as a logarithm: what is thrown back from
# all around fills shadows, and the photographer exposes for the lit side.
REACH_UP, REACH_DOWN = 0.55, 1.3
# Above KNEE brightness rises ever slower, and reaches at most KNEE + HEADROOM.
KNEE, HEADROOM = np.float32(212), np.float32(43)
# About how far the columns of a mesh are apart, in units.
CELL = 0.2
# A side that is less than this part of what is seen of a mask's middle tells nothing.
LEAST_SIDE = 0.1
# Most that the light is turned to a side so that mask and face agree.
MOST_TURN = 0.7
# Folds alone make a place this much darker or brighter than its surroundings at most.
DARKEST_FOLD, BRIGHTEST_FOLD = -0.6, 0.45


def light_fabric(fabric: Fabric, light: Light, shade: Field) -> npt.NDArray[np.float32]:
    """Return the (h, w, 3) float32 fabric in the light of the face, 0..255 and a little beyond.

    Args:
        shade: (R, C, 6) of `shade_meshes`.
    """
    height, width = fabric.gloss.shape
    # What is smooth is enlarged in one piece.
    on_mesh = shade if fabric.shine > 0 else np.ascontiguousarray(shade[..., :3])
    smooth, by_x, by_y, *shine = _spread(on_mesh, (width, height))
    by_x *= fabric.slope_x
    by_y *= fabric.slope_y
    by_x += by_y
    shaded = within(by_x, DARKEST_FOLD, BRIGHTEST_FOLD, out=by_x)
    shaded += 1
    shaded *= smooth
    shaded *= fabric.gloss
    if fabric.albedo.shape[:2] == (1, 1):
        lit = in_color(shaded, lit_color(fabric.albedo[0, 0].tolist(), light))
    else:
        lit = np.asarray(cv2.transform(fabric.albedo, _mix(light)), np.float32)
        lit *= wide(shaded)
    if fabric.shine > 0:
        facing, by_x, by_y = shine
        by_x *= fabric.slope_x
        by_y *= fabric.slope_y
        facing += by_x
        facing += by_y
        level = fabric.shine * light.exposure
        lit += in_color(_sharpened(facing), [level * tint for tint in light.tint.tolist()])
    _bend_to_white(lit)
    return np.asarray(lit, np.float32)


def lit_color(own: Sequence[float], light: Light) -> list[float]:
    """Return blue, green, red that something of its own colour sends back in a light."""
    grey = grey_of(own)
    return [
        (grey + light.saturation * (one - grey)) * tint * light.exposure
        for one, tint in zip(own, light.tint.tolist(), strict=True)
    ]


def _bend_to_white(color: Field) -> None:
    """Bend what is bright towards white, in place: film and sensors do not just stop there."""
    if float(color.max()) <= KNEE:
        return
    bright = np.maximum(color - KNEE, 0)
    color -= bright
    color += bright / (bright * (1 / HEADROOM) + 1)


@dataclass(frozen=True, slots=True)
class Shade:
    """What B smooth masks show of the light at each vertex.

    Attributes:
        shown: (B, R, C) the light.
        share: (B, R, C) of it by which more of it brightens that.
        across, along: (B, R, C) gradient of the harmonics along the face's `right` and its `down`.
        inwards: (B, R, C) how much of the whole gradient lies along the normal.
    """

    shown: FloatArray
    share: FloatArray
    across: FloatArray
    along: FloatArray
    inwards: FloatArray


def with_sides(
    lights: Sequence[Light], meshes: Meshes, frames: Sequence[FaceFrame], patches: Field
) -> list[Light]:
    """Return lights in which the middles of B masks show the asymmetry that the faces ask for.

    One step of Newton's method on each light's slope from side to side; the light itself where the mask shows
    one side only. `patches` are those of the lights at the meshes' vertices, (B, R, C).
    """
    inner = slice(None), slice(1, -1), slice(1, -1)
    vectors, unit = stacked(frames)
    axis = vectors[:, 2] / unit
    # Distances from the face's axis, in units.
    across = (meshes.points[inner] @ axis[:, None, :, None])[..., 0]
    across -= (vectors[:, 0] * axis).sum(axis=1)[:, None, None]
    # Each vertex counts by the pixels that it stands for, and a far flank that is seen from behind not at all.
    places = meshes.points.view(np.complex128)[..., 0]
    area = cross(
        places[:, 1:-1, 2:] - places[:, 1:-1, :-2],
        places[:, 2:, 1:-1] - places[:, :-2, 1:-1],
    )
    np.maximum(area, 0, out=area)
    # Vertices are as far apart as `CELL`: those on a border belong to both sides of it by halves.
    aside = (COLUMNS[1] - np.abs(across)) / CELL + 0.5
    area *= within(aside, 0, 1, out=aside)
    shade = _smooth_light(lights, meshes, patches)
    value = shade.shown[inner]
    gained = value * shade.share[inner] * meshes.normals[:, 0, 1:-1, 1:-1]
    right = within(across / CELL + 0.5, 0, 1)
    parts = (
        np.array([value, gained, np.ones_like(value)]) * np.array([area * (1 - right), area * right])[:, None]
    )
    sums = parts.reshape(6, len(lights), -1).sum(axis=-1)
    return [
        _turned(light, (left, right), (left_gain, right_gain), (left_size, right_size))
        for light, (left, left_gain, left_size, right, right_gain, right_size) in zip(
            lights, sums.T.tolist(), strict=True
        )
    ]


def _turned(
    light: Light, sums: tuple[float, float], gains: tuple[float, float], sizes: tuple[float, float]
) -> Light:
    """Return a light turned to a side as `with_sides` says.

    Args:
        sums: of the light on the mask's image-left and image-right side.
        gains: by which they grow with the light's slope to the right.
        sizes: of the sides.
    """
    if min(sizes) < LEAST_SIDE * sum(sizes) or sum(sizes) <= 0:
        return light
    left, right = sums[0] / sizes[0], sums[1] / sizes[1]
    # d/dc of (L - R) / (L + R) is 2 (R L' - L R') / (L + R)^2.
    gain = 2 * (right * gains[0] / sizes[0] - left * gains[1] / sizes[1]) / (left + right) ** 2
    if gain > -0.05:
        return light
    step = (light.asymmetry - (left - right) / (left + right)) / gain
    harmonics = light.harmonics.copy()
    harmonics[1] += min(max(step, -MOST_TURN), MOST_TURN)
    return replace(light, harmonics=harmonics)


def _smooth_light(lights: Sequence[Light], meshes: Meshes, patches: Field) -> Shade:
    """Return what smooth masks show; arguments as in `with_sides`."""
    # The nine terms are a quadratic form n^T C n / 2 + b n + a, whose gradient C n + b the folds need as well.
    harmonics = np.array([light.harmonics for light in lights])
    level = np.maximum(mean_level(harmonics), LEAST_LEVEL)[:, None]
    normals = meshes.normals.reshape(len(lights), 3, -1)
    gradient = _curvatures(harmonics) @ normals
    gradient += harmonics[:, 1:4, None]
    inwards = (normals * gradient).sum(axis=1)
    flat = (harmonics[:, None, 1:4] @ normals)[:, 0]
    flat += inwards
    flat *= 0.5
    flat += (harmonics[:, 0] - harmonics[:, 8])[:, None]
    np.maximum(flat, 0.15, out=flat)
    # A surface seen from its side is in the shade of its own threads.
    shown = np.maximum(normals[:, 2], 0)
    shown *= 0.20
    shown += 0.80
    shown *= flat
    shown /= level
    np.log(shown, out=shown)
    bent = shown / np.where(shown > 0, REACH_UP, REACH_DOWN)
    bent *= bent
    bent += 1
    root = np.sqrt(bent)
    shown /= root
    np.exp(shown, out=shown)
    shown *= patches.reshape(shown.shape)
    bent *= root
    bent *= np.maximum(flat, 0.35)
    shape = patches.shape
    return Shade(
        shown.reshape(shape),
        np.divide(1, bent, out=bent).reshape(shape),
        gradient[:, 0].reshape(shape),
        gradient[:, 1].reshape(shape),
        inwards.reshape(shape),
    )


def _curvatures(harmonics: FloatArray) -> FloatArray:
    """Return (B, 3, 3) symmetric matrices of the lights' terms of second order, twice, of (B, 9)."""
    flat, deep = 2 * harmonics[:, 7], 6 * harmonics[:, 8]
    xy, xz, yz = harmonics[:, 4:7].T
    return np.array([[flat, xy, xz], [xy, -flat, yz], [xz, yz, deep]]).transpose(2, 0, 1)


def shade_meshes(lights: Sequence[Light], towards: FloatArray, meshes: Meshes, patches: Field) -> Field:
    """Return (B, R, C, 6) float32 of each vertex in the light, and by what shares slopes along u and v change it.

    First the light, then how far it faces Blinn's half-way vector, each with its two changes. A slope s along x
    turns a normal n by -(I - n n^T) (s, 0), of which the light's gradient tells the effect. `towards` are the
    lights' `directions`, (B, 3); the other arguments as in `with_sides`.
    """
    shade = _smooth_light(lights, meshes, patches)
    x, y, z = meshes.normals.swapaxes(0, 1)
    shaded = np.empty((*x.shape, 6), np.float32)
    shaded[..., 0] = shade.shown
    shaded[..., 1] = (shade.inwards * x - shade.across) * shade.share
    shaded[..., 2] = (shade.inwards * y - shade.along) * shade.share
    half = towards.copy()
    half[:, 2] += 1
    half /= np.sqrt(half[:, 0] * half[:, 0] + half[:, 1] * half[:, 1] + half[:, 2] * half[:, 2])[:, None]
    half_x, half_y, half_z = half.T[..., None, None]
    facing = half_x * x + half_y * y + half_z * z
    shaded[..., 3] = facing
    shaded[..., 4] = facing * x - half_x
    shaded[..., 5] = facing * y - half_y
    return shaded


def _sharpened(facing: Field) -> Field:
    """Return the highlight of a smooth fabric, 0..1: how far it faces the half-way vector, to the twelfth."""
    sharp = within(facing, 0, 1)
    sharp *= sharp * sharp
    sharp *= sharp
    sharp *= sharp
    return sharp


def _spread(mesh_values: npt.NDArray[np.floating], size_wh: tuple[int, int]) -> list[Field]:
    """Return N fields (h, w) over the fabric from (R, C, N) values on the mesh."""
    return [np.asarray(part, np.float32) for part in cv2.split(cv2.resize(mesh_values, size_wh))]


def _mix(light: Light) -> npt.NDArray[np.float32]:
    """Return the 3 x 3 matrix that takes the saturation and gives tint and exposure."""
    keep = np.float32(light.saturation)
    mix = keep * np.eye(3, dtype=np.float32) + (1 - keep) * LUMA
    return np.asarray(mix * (light.tint * np.float32(light.exposure))[:, None], np.float32)
