"""From a mesh to pixels: which pixel shows which point of the fabric."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.mesh import Mesh

# Bits of sub-pixel position that OpenCV's polygon filler is given.
SHIFT = 4


@dataclass(frozen=True, slots=True)
class Raster:
    """What the pixels of a window show.

    Attributes:
        cover: (h, w) float32, 1 on the mask and 0 off it.
        u, v: (h, w) float32 place on the fabric, 0..1 from image-left to image-right and from the upper edge
            to the lower; beyond its edges they run on a few pixels; 0 elsewhere.
    """

    cover: npt.NDArray[np.float32]
    u: npt.NDArray[np.float32]
    v: npt.NDArray[np.float32]


def rasterise(
    mesh: Mesh, origin_xy: tuple[int, int], size_wh: tuple[int, int], scale: int, reach: int
) -> Raster:
    """Return what a window of the image shows of a mesh, nearer triangles over farther ones.

    Args:
        mesh: points in pixels of the image.
        origin_xy: the window's upper left pixel in the image.
        size_wh: the window's size in pixels of the image.
        scale: pixels of the raster per pixel of the image.
        reach: raster pixels around the mask for which (u, v) is continued.
    """
    rows, columns = mesh.depth.shape
    triangles, uv = _topology(rows, columns)
    order = np.argsort(mesh.depth.reshape(-1)[triangles].sum(axis=1), kind="stable")
    vertices = (mesh.points.reshape(-1, 2) - origin_xy + 0.5) * scale - 0.5
    corners = vertices[triangles]
    # int16 takes every label and is a type that `dilate` knows.
    label = np.zeros((size_wh[1] * scale, size_wh[0] * scale), dtype=np.int16)
    fixed = np.round(corners * (1 << SHIFT)).astype(np.int32)
    for index in order.tolist():
        cv2.fillConvexPoly(label, fixed[index], index + 1, cv2.LINE_8, SHIFT)
    cover = (label > 0).astype(np.float32)
    grown = cv2.dilate(label, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    label = np.where(label > 0, label, grown)
    u, v = _interpolate(label, _inverse_affines(corners, uv[triangles]))
    return Raster(cover, u, v)


@lru_cache(maxsize=4)
def _topology(rows: int, columns: int) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the (T, 3) corners of a grid's triangles and the (rows * columns, 2) u, v of its vertices."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    upper, lower = np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)
    triangles = np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    uv = np.stack([u, v], axis=-1).reshape(-1, 2)
    for shared in (triangles, uv):
        shared.setflags(write=False)
    return triangles, uv


def _inverse_affines(corners: FloatArray, uv: FloatArray) -> FloatArray:
    """Return (T + 1, 6) rows (a, b, c, d, e, f): u = a x + b y + c, v = d x + e y + f; row 0 is zero.

    Args:
        corners: (T, 3, 2) pixels.
        uv: (T, 3, 2) the same corners on the fabric.
    """
    edges = corners[:, 1:] - corners[:, :1]
    sides = uv[:, 1:] - uv[:, :1]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    # A triangle seen edge-on has no inverse; whichever place of it a pixel shows is right.
    inverse = np.where(np.abs(area) > 1e-6, 1 / np.where(np.abs(area) > 1e-6, area, 1), 0)[:, None]
    along_x = (sides[:, 0] * edges[:, 1, 1:] - sides[:, 1] * edges[:, 0, 1:]) * inverse
    along_y = (sides[:, 1] * edges[:, 0, :1] - sides[:, 0] * edges[:, 1, :1]) * inverse
    offset = uv[:, 0] - along_x * corners[:, 0, :1] - along_y * corners[:, 0, 1:]
    rows = np.zeros((len(corners) + 1, 6), dtype=np.float32)
    rows[1:, [0, 3]], rows[1:, [1, 4]], rows[1:, [2, 5]] = along_x, along_y, offset
    return rows


def _interpolate(
    label: npt.NDArray[np.int16], affines: FloatArray
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return (h, w) u and v of every labelled pixel; 0 where the label is 0."""
    height, width = label.shape
    x = np.arange(width, dtype=np.float32)[None, :]
    y = np.arange(height, dtype=np.float32)[:, None]
    columns = [np.ascontiguousarray(column, dtype=np.float32) for column in affines.T]
    a, b, c, d, e, f = (column.take(label, mode="clip") for column in columns)
    return a * x + b * y + c, d * x + e * y + f
