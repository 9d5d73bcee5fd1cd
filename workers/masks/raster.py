"""From a mesh to pixels: which pixel shows which point of the fabric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.mesh import Mesh
from workers.masks.planes import Field, shares

# Bits of sub-pixel position that OpenCV's polygon filler is given.
SHIFT = 4


@dataclass(frozen=True, slots=True)
class Raster:
    """What the pixels of a window show.

    Attributes:
        cover: (h, w) float32, 1 on the mask, 0 off it, between on its outline.
        u, v: (h, w) float32 place on the fabric, 0..1 from image-left to image-right and from the upper edge
            to the lower; beyond its edges they run on a few pixels; any where farther.
    """

    cover: Field
    u: Field
    v: Field


def rasterise(
    mesh: Mesh, origin_xy: tuple[int, int], size_wh: tuple[int, int], detail: float, reach: float
) -> Raster:
    """Return what a window of the image shows of a mesh, nearer triangles over farther ones.

    Args:
        mesh: points in pixels of the image.
        origin_xy: the window's upper left pixel in the image.
        size_wh: the window's size in pixels of the image.
        detail: at most 1; so many triangles' places are looked up along one pixel, the others lie between:
            places run smoothly over a face.
        reach: pixels around the mask for which (u, v) is continued.
    """
    points = mesh.points - origin_xy
    # A part of it is seen from behind, and another one may hide it.
    folded = bool((mesh.areas < 0).any())
    cover = _cover(points, size_wh, folded)
    small_wh = math.ceil(size_wh[0] * detail), math.ceil(size_wh[1] * detail)
    step = np.array(small_wh) / size_wh
    rows, columns = mesh.depth.shape
    triangles, uv = _topology(rows, columns)
    corners = ((points + 0.5) * step - 0.5).reshape(-1, 2)[triangles]
    order = mesh.depth.reshape(-1)[triangles].sum(axis=1).argsort(kind="stable") if folded else None
    label = _label(corners, small_wh, order)
    # First to the nearest triangle, then on to any near one.
    for side in (3, 2 * math.ceil(reach * detail) + 1):
        label = np.where(label > 0, label, cv2.dilate(label, np.ones((side, side), np.uint8)))
    u, v = _interpolate(label, _inverse_affines(corners, uv))
    if small_wh != size_wh:
        u, v = (np.asarray(cv2.resize(part, size_wh), np.float32) for part in (u, v))
    return Raster(cover, u, v)


def _cover(points: FloatArray, size_wh: tuple[int, int], folded: bool) -> Field:
    """Return the (h, w) cover of an (R, C, 2) grid of points of the window."""
    cover = np.zeros((size_wh[1], size_wh[0]), dtype=np.uint8)
    fixed = np.rint(points * (1 << SHIFT)).astype(np.int32)
    if folded:
        # A flank may lie over the other: cell by cell, as an outline that crosses itself has holes.
        cells = np.stack([fixed[:-1, :-1], fixed[:-1, 1:], fixed[1:, 1:], fixed[1:, :-1]], axis=2)
        for cell in cells.reshape(-1, 4, 2):
            cv2.fillConvexPoly(cover, cell, 255, cv2.LINE_8, SHIFT)
    else:
        rim = np.concatenate([fixed[0], fixed[1:, -1], fixed[-1, -2::-1], fixed[-2:0:-1, 0]])
        cv2.fillPoly(cover, [rim], 255, cv2.LINE_AA, SHIFT)
    return shares(cover)


def _label(
    corners: FloatArray, size_wh: tuple[int, int], order: npt.NDArray[np.intp] | None
) -> npt.NDArray[np.int16]:
    """Return (h, w) which of (T, 3, 2) triangles a pixel shows, from 1, 0 for none; the last one wins."""
    # int16 takes every label and is a type that `dilate` knows.
    label = np.zeros((size_wh[1], size_wh[0]), dtype=np.int16)
    fixed = np.rint(corners * (1 << SHIFT)).astype(np.int32)
    for index in range(len(fixed)) if order is None else order.tolist():
        cv2.fillConvexPoly(label, fixed[index], index + 1, cv2.LINE_8, SHIFT)
    return label


@lru_cache(maxsize=4)
def _topology(rows: int, columns: int) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the (T, 3) corners of a grid's triangles and their (T, 3, 2) u, v."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    upper, lower = np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)
    triangles = np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    uv = np.stack([u, v], axis=-1).reshape(-1, 2)[triangles]
    for shared in (triangles, uv):
        shared.setflags(write=False)
    return triangles, uv


def _inverse_affines(corners: FloatArray, uv: FloatArray) -> Field:
    """Return (6, T + 1) columns (a, b, c, d, e, f): u = a x + b y + c, v = d x + e y + f; column 0 is zero.

    Args:
        corners: (T, 3, 2) pixels.
        uv: (T, 3, 2) the same corners on the fabric.
    """
    x, y = corners[..., 0], corners[..., 1]
    x1, y1, x2, y2 = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0], x[:, 2] - x[:, 0], y[:, 2] - y[:, 0]
    area = x1 * y2 - y1 * x2
    # A triangle seen edge-on has no inverse; whichever place of it a pixel shows is right.
    usable = np.abs(area) > 1e-6
    inverse = np.divide(1, area, out=np.zeros_like(area), where=usable)
    table = np.zeros((6, len(corners) + 1), dtype=np.float32)
    for row, place in ((0, uv[..., 0]), (3, uv[..., 1])):
        first, side, other = place[:, 0], place[:, 1] - place[:, 0], place[:, 2] - place[:, 0]
        along_x, along_y = (side * y2 - other * y1) * inverse, (other * x1 - side * x2) * inverse
        table[row, 1:], table[row + 1, 1:] = along_x, along_y
        table[row + 2, 1:] = first - along_x * x[:, 0] - along_y * y[:, 0]
    return table


def _interpolate(label: npt.NDArray[np.int16], affines: Field) -> tuple[Field, Field]:
    """Return (h, w) u and v of every labelled pixel; 0 where the label is 0."""
    height, width = label.shape
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    a, b, c, d, e, f = affines[:, label]
    return a * x + b * y + c, d * x + e * y + f
