"""What the light on a face does to the fabric of a mask."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.fabrics import Fabric
from workers.masks.frame import FaceFrame
from workers.masks.light import LUMA, Light
from workers.masks.mesh import Mesh
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


def light_fabric(
    fabric: Fabric, mesh: Mesh, light: Light, patches: Field | None = None
) -> npt.NDArray[np.float32]:
    """Return the (h, w, 3) float32 fabric in the light of the face, 0..255 and a little beyond.

    Args:
        patches: of the light at the mesh's vertices, (R, C), where they are known.
    """
    height, width = fabric.gloss.shape
    shade = shade_mesh(mesh, light, patches)
    # What is smooth is enlarged in one piece.
    on_mesh = np.concatenate([shade, _facing(mesh, light)], axis=2) if fabric.shine > 0 else shade
    smooth, by_x, by_y, *shine = _spread(on_mesh, (width, height))
    by_x *= fabric.slope_x
    by_y *= fabric.slope_y
    by_x += by_y
    shaded = within(by_x, DARKEST_FOLD, BRIGHTEST_FOLD, out=by_x)
    shaded += 1
    shaded *= smooth
    shaded *= fabric.gloss
    mix = _mix(light)
    if fabric.albedo.shape[:2] == (1, 1):
        lit = in_color(shaded, (mix @ fabric.albedo.reshape(3)).tolist())
    else:
        lit = np.asarray(cv2.transform(fabric.albedo, mix), np.float32)
        lit *= wide(shaded)
    if fabric.shine > 0:
        facing, by_x, by_y = shine
        by_x *= fabric.slope_x
        by_y *= fabric.slope_y
        facing += by_x
        facing += by_y
        lit += in_color(_sharpened(facing), (fabric.shine * light.exposure * light.tint).tolist())
    _bend_to_white(lit)
    return np.asarray(lit, np.float32)


def _bend_to_white(color: Field) -> None:
    """Bend what is bright towards white, in place: film and sensors do not just stop there."""
    if float(color.max()) <= KNEE:
        return
    bright = np.maximum(color - KNEE, 0)
    color -= bright
    color += bright / (bright * (1 / HEADROOM) + 1)


def with_sides(light: Light, mesh: Mesh, frame: FaceFrame, patches: Field | None = None) -> Light:
    """Return a light in which the middle of a mask shows the asymmetry that the face asks for.

    One step of Newton's method on the light's slope from side to side; the light itself where the mask shows
    one side only. `patches` as in `light_fabric`.
    """
    inner = slice(1, -1), slice(1, -1)
    across = frame.across(mesh.points[inner]) / frame.unit
    # Each vertex counts by the pixels that it stands for, and a far flank that is seen from behind not at all.
    places = np.ascontiguousarray(mesh.points).view(np.complex128)[..., 0]
    along_u, along_v = places[1:-1, 2:] - places[1:-1, :-2], places[2:, 1:-1] - places[:-2, 1:-1]
    area = np.maximum((along_u.conj() * along_v).imag, 0)
    # Vertices are as far apart as `CELL`: those on a border belong to both sides of it by halves.
    aside = (COLUMNS[1] - np.abs(across)) / CELL + 0.5
    area *= within(aside, 0, 1, out=aside)
    share_right = within(across / CELL + 0.5, 0, 1)
    left, right = area * (1 - share_right), area * share_right
    sizes = float(left.sum()), float(right.sum())
    if min(sizes) < LEAST_SIDE * sum(sizes) or sum(sizes) <= 0:
        return light
    value, share, _, _ = _smooth_light(mesh, light, patches)
    value = value[inner]
    gained = value * share[inner] * mesh.normals[inner][..., 0]
    left_sum, right_sum = float((value * left).sum()) / sizes[0], float((value * right).sum()) / sizes[1]
    left_gain, right_gain = float((gained * left).sum()) / sizes[0], float((gained * right).sum()) / sizes[1]
    # d/dc of (L - R) / (L + R) is 2 (R L' - L R') / (L + R)^2.
    gain = 2 * (right_sum * left_gain - left_sum * right_gain) / (left_sum + right_sum) ** 2
    if gain > -0.05:
        return light
    step = (light.asymmetry - (left_sum - right_sum) / (left_sum + right_sum)) / gain
    harmonics = light.harmonics.copy()
    harmonics[1] += min(max(step, -MOST_TURN), MOST_TURN)
    return replace(light, harmonics=harmonics)


def _smooth_light(
    mesh: Mesh, light: Light, patches: Field | None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return what a smooth mask shows of the light at each vertex.

    Returns:
        (R, C) light, the (R, C) share of it by which more of it brightens that, the (R, C, 3) gradient of the
        harmonics, and how much of that lies along the normal, (R, C).
    """
    # The nine terms are a quadratic form n^T C n / 2 + b n + a, whose gradient C n + b the folds need as well.
    harmonics = light.harmonics
    gradient = mesh.normals @ _curvature(harmonics)
    gradient += harmonics[1:4]
    inwards = (mesh.normals * gradient).sum(axis=-1)
    flat = mesh.normals @ harmonics[1:4]
    flat += inwards
    flat *= 0.5
    flat += harmonics[0] - harmonics[8]
    np.maximum(flat, 0.15, out=flat)
    # A surface seen from its side is in the shade of its own threads.
    level = np.maximum(mesh.normals[..., 2], 0)
    level *= 0.20
    level += 0.80
    level *= flat
    level /= light.level
    np.log(level, out=level)
    bent = level / np.where(level > 0, REACH_UP, REACH_DOWN)
    bent *= bent
    bent += 1
    root = np.sqrt(bent)
    level /= root
    shown = np.exp(level, out=level) * (light.patches_at(mesh.points) if patches is None else patches)
    bent *= root
    bent *= np.maximum(flat, 0.35)
    return shown, np.divide(1, bent, out=bent), gradient, inwards


def shade_mesh(mesh: Mesh, light: Light, patches: Field | None = None) -> npt.NDArray[np.float32]:
    """Return (R, C, 3): the light on each vertex, and by what share a slope along u and v changes it.

    A slope s along x turns a normal n by -(I - n n^T) (s, 0), of which the light's gradient tells the effect.
    `patches` as in `light_fabric`.
    """
    value, share, gradient, inwards = _smooth_light(mesh, light, patches)
    shaded = np.empty((*value.shape, 3), np.float32)
    shaded[..., 0] = value
    shaded[..., 1:] = (inwards[..., None] * mesh.normals[..., :2] - gradient[..., :2]) * share[..., None]
    return shaded


def _curvature(harmonics: FloatArray) -> FloatArray:
    """Return the symmetric (3, 3) matrix of the light's terms of second order, twice."""
    xy, xz, yz, flat, deep = harmonics[4:].tolist()
    return np.array([[2 * flat, xy, xz], [xy, -2 * flat, yz], [xz, yz, 6 * deep]])


def _facing(mesh: Mesh, light: Light) -> Field:
    """Return (R, C, 3) how far vertices face Blinn's half-way vector, and what a slope along u and v adds."""
    half = light.direction + np.array([0.0, 0.0, 1.0])
    half /= np.sqrt(half @ half)
    straight = mesh.normals @ half
    facing = np.empty((*straight.shape, 3), np.float32)
    facing[..., 0] = straight
    facing[..., 1:] = straight[..., None] * mesh.normals[..., :2] - half[:2]
    return facing


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
