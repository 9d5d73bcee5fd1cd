"""The triangles of a mesh's grid, and the way back from the image to the fabric on each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Topology:
    """The triangles of a grid.

    Attributes:
        triangles: (T, 3) numbers of the corners.
        first, side, other: (T,) u + vi of the first corner, and the ways from there to the second and the third.
        rim: numbers of the vertices around the grid, clockwise.
    """

    triangles: npt.NDArray[np.intp]
    first: npt.NDArray[np.complex128]
    side: npt.NDArray[np.complex128]
    other: npt.NDArray[np.complex128]
    rim: npt.NDArray[np.intp]


@lru_cache(maxsize=4)
def topology(rows: int, columns: int) -> Topology:
    """Return the triangles of a grid, two to a cell."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    upper, lower = np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)
    triangles = np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    uv = (np.linspace(0, 1, columns) + 1j * np.linspace(0, 1, rows)[:, None]).reshape(-1)[triangles]
    rim = np.concatenate([index[0], index[1:, -1], index[-1, -2::-1], index[-2:0:-1, 0]])
    grid = Topology(triangles, uv[:, 0].copy(), uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0], rim)
    for shared in (grid.triangles, grid.first, grid.side, grid.other, grid.rim):
        shared.setflags(write=False)
    return grid


def inverse_affines(points: FloatArray) -> npt.NDArray[np.complex128]:
    """Return (B, 3, T + 1) a, b, c by which each triangle's u + vi is a x + b y + c; the first of each is 0.

    Args:
        points: (B, R, C, 2) x, y of the vertices of B grids.
    """
    grid = topology(*points.shape[1:3])
    x, y = np.moveaxis(points.reshape(len(points), -1, 2)[:, grid.triangles], (3, 2), (0, 1))
    x1, y1, x2, y2 = x[1] - x[0], y[1] - y[0], x[2] - x[0], y[2] - y[0]
    area = x1 * y2 - y1 * x2
    # A triangle seen edge-on has no inverse; whichever place of it a pixel shows is right.
    area[np.abs(area) <= 1e-6] = np.inf
    table = np.zeros((len(points), 3, 1 + len(grid.triangles)), np.complex128)
    along_x, along_y, start = table[:, 0, 1:], table[:, 1, 1:], table[:, 2, 1:]
    np.divide(grid.side * y2 - grid.other * y1, area, out=along_x)
    np.divide(grid.other * x1 - grid.side * x2, area, out=along_y)
    start[...] = grid.first - along_x * x[0] - along_y * y[0]
    return table
