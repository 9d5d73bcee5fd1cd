"""What the light on a face does to the fabric of a mask."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.fabrics import Fabric
from workers.masks.frame import FaceFrame
from workers.masks.harmonics import terms
from workers.masks.light import LUMA, Light
from workers.masks.mesh import Mesh
from workers.masks.planes import Field, in_color, wide
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


def light_fabric(fabric: Fabric, mesh: Mesh, light: Light) -> npt.NDArray[np.float32]:
    """Return the (h, w, 3) float32 fabric in the light of the face, 0..255 and a little beyond."""
    height, width = fabric.gloss.shape
    smooth, by_x, by_y = _spread(shade_mesh(mesh, light), (width, height))
    by_x *= fabric.slope_x
    by_y *= fabric.slope_y
    by_x += by_y
    shaded = np.clip(by_x, DARKEST_FOLD, BRIGHTEST_FOLD, out=by_x)
    shaded += 1
    shaded *= smooth
    shaded *= fabric.gloss
    mix = _mix(light)
    if fabric.albedo.shape[:2] == (1, 1):
        lit = in_color(shaded, mix @ fabric.albedo.reshape(3))
    else:
        lit = np.asarray(cv2.transform(fabric.albedo, mix), np.float32)
        lit *= wide(shaded)
    if fabric.shine > 0:
        facing, by_x, by_y = _spread(_facing(mesh, light), (width, height))
        by_x *= fabric.slope_x
        by_y *= fabric.slope_y
        facing += by_x
        facing += by_y
        lit += in_color(_sharpened(facing), fabric.shine * light.exposure * light.tint)
    _bend_to_white(lit)
    return np.asarray(lit, np.float32)


def _bend_to_white(color: Field) -> None:
    """Bend what is bright towards white, in place: film and sensors do not just stop there."""
    if float(color.max()) <= KNEE:
        return
    bright = np.maximum(color - KNEE, 0)
    color -= bright
    color += bright / (bright * (1 / HEADROOM) + 1)


def with_sides(light: Light, mesh: Mesh, frame: FaceFrame) -> Light:
    """Return a light in which the middle of a mask shows the asymmetry that the face asks for.

    One step of Newton's method on the light's slope from side to side; the light itself where the mask shows
    one side only.
    """
    inner = slice(1, -1), slice(1, -1)
    across = frame.across(mesh.points[inner]) / frame.unit
    aside = np.abs(across)
    # Each vertex counts by the pixels that it stands for, and a far flank that is seen from behind not at all.
    along_u = mesh.points[1:-1, 2:] - mesh.points[1:-1, :-2]
    along_v = mesh.points[2:, 1:-1] - mesh.points[:-2, 1:-1]
    area = np.maximum(along_u[..., 0] * along_v[..., 1] - along_u[..., 1] * along_v[..., 0], 0)
    # Vertices are as far apart as `CELL`: those on a border belong to both sides of it by halves.
    area *= np.clip(0.5 + (COLUMNS[1] - aside) / CELL, 0, 1)
    share_right = np.clip(0.5 + across / CELL, 0, 1)
    left, right = area * (1 - share_right), area * share_right
    sizes = float(left.sum()), float(right.sum())
    if min(sizes) < LEAST_SIDE * sum(sizes) or sum(sizes) <= 0:
        return light
    value, share = (part[inner] for part in _smooth_light(mesh, light))
    both = np.stack([value, value * share * mesh.normals[inner][..., 0]]).reshape(2, -1)
    sums = both @ np.stack([left.ravel() / sizes[0], right.ravel() / sizes[1]], axis=1)
    (left_sum, right_sum), (left_gain, right_gain) = sums.tolist()
    # d/dc of (L - R) / (L + R) is 2 (R L' - L R') / (L + R)^2.
    gain = 2 * (right_sum * left_gain - left_sum * right_gain) / (left_sum + right_sum) ** 2
    if gain > -0.05:
        return light
    step = (light.asymmetry - (left_sum - right_sum) / (left_sum + right_sum)) / gain
    harmonics = light.harmonics.copy()
    harmonics[1] += min(max(step, -MOST_TURN), MOST_TURN)
    return replace(light, harmonics=harmonics)


def _smooth_light(mesh: Mesh, light: Light) -> tuple[FloatArray, FloatArray]:
    """Return (R, C) light shown on a smooth mask, and the share of it by which more of it brightens that."""
    flat = np.maximum(terms(mesh.normals) @ light.harmonics, 0.15)
    # A surface seen from its side is in the shade of its own threads.
    level = np.log(flat * (0.80 + 0.20 * np.maximum(mesh.normals[..., 2], 0)) / light.level)
    bent = level / np.where(level > 0, REACH_UP, REACH_DOWN)
    bent = 1 + bent * bent
    root = np.sqrt(bent)
    return np.exp(level / root) * light.patches_at(mesh.points), 1 / (np.maximum(flat, 0.35) * bent * root)


def shade_mesh(mesh: Mesh, light: Light) -> npt.NDArray[np.float32]:
    """Return (R, C, 3): the light on each vertex, and by what share a slope along u and v changes it.

    A slope s along x turns a normal n by -(I - n n^T) (s, 0), of which the light's gradient tells the effect.
    """
    value, share = _smooth_light(mesh, light)
    gradient = mesh.normals @ _curvature(light.harmonics) + light.harmonics[1:4]
    inwards = np.einsum("rcx,rcx->rc", mesh.normals, gradient)[..., None]
    shaded = np.empty((*value.shape, 3), np.float32)
    shaded[..., 0] = value
    shaded[..., 1:] = (inwards * mesh.normals[..., :2] - gradient[..., :2]) * share[..., None]
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
    sharp = np.clip(facing, 0, 1)
    sharp *= sharp * sharp
    sharp *= sharp
    sharp *= sharp
    return sharp


def _spread(mesh_values: npt.NDArray[np.floating], size_wh: tuple[int, int]) -> list[Field]:
    """Return three (h, w) fields over the fabric from (R, C, 3) values on the mesh."""
    return [np.asarray(part, np.float32) for part in cv2.split(cv2.resize(mesh_values, size_wh))]


def _mix(light: Light) -> npt.NDArray[np.float32]:
    """Return the 3 x 3 matrix that takes the saturation and gives tint and exposure."""
    keep = np.float32(light.saturation)
    mix = keep * np.eye(3, dtype=np.float32) + (1 - keep) * LUMA
    return np.asarray(mix * (light.tint * np.float32(light.exposure))[:, None], np.float32)
