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
from workers.masks.planes import Field, shares, within
from workers.masks.triangles import topology

# Bits of sub-pixel position that OpenCV's polygon filler is given.
SHIFT = 4
# Samples of the fabric to a pixel along a side.
DENSITY = 1.6


@dataclass(frozen=True, slots=True)
class Raster:
    """What the pixels of a window show.

    Attributes:
        cover: (h, w) float32, 1 on the mask, 0 off it, between on its outline.
        places: (h, w, 2) float32, as `cv2.remap` takes them: u and v on the fabric, from image-left to image-right
            and from the upper edge to the lower; beyond its edges they run on a few pixels; any where farther.
        scale_uv: u and v at the fabric's far edges.
    """

    cover: Field
    places: Field
    scale_uv: tuple[float, float]

    @property
    def u(self) -> Field:
        """(h, w), 0..1 on the mask."""
        return np.asarray(self.places[..., 0] / np.float32(self.scale_uv[0]))

    @property
    def v(self) -> Field:
        """(h, w), 0..1 on the mask."""
        return np.asarray(self.places[..., 1] / np.float32(self.scale_uv[1]))


def rasterise(
    mesh: Mesh,
    origin_xy: tuple[int, int],
    size_wh: tuple[int, int],
    detail: float,
    reach: float,
    scale_uv: tuple[float, float] = (1.0, 1.0),
) -> Raster:
    """Return what a window of the image shows of a mesh, nearer triangles over farther ones.

    Args:
        mesh: points in pixels of the image.
        origin_xy: the window's upper left pixel in the image.
        size_wh: the window's size in pixels of the image.
        detail: at most 1; so many triangles' places are looked up along one pixel, the others lie between:
            places run smoothly over a face.
        reach: pixels around the mask for which (u, v) is continued.
        scale_uv: what u and v are at the fabric's far edges.
    """
    points = mesh.points - origin_xy
    rim = topology(*mesh.depth.shape).rim
    cover = _cover(points, rim, size_wh, mesh.is_folded)
    small_wh = math.ceil(size_wh[0] * detail), math.ceil(size_wh[1] * detail)
    scale = small_wh[0] / size_wh[0], small_wh[1] / size_wh[1]
    if small_wh != size_wh:
        points += 0.5
        points *= scale
        points -= 0.5
    if mesh.is_folded:
        label = _label_in_order(points, mesh.depth, small_wh)
    else:
        left, top, right, bottom = mesh.box
        label = _label_by_samples(points, small_wh, detail * max(right - left, bottom - top))
    # First to the nearest triangle, then on to any near one.
    for side in (3, 2 * math.ceil(reach * detail) + 1):
        np.copyto(label, cv2.dilate(label, _brush(side)), where=label == 0)
    places = _interpolate(label, _in_window(mesh.affines, origin_xy, scale, scale_uv))
    if small_wh != size_wh:
        places = np.asarray(cv2.resize(places, size_wh), np.float32)
    return Raster(cover, places, scale_uv)


def _cover(points: FloatArray, rim: npt.NDArray[np.intp], size_wh: tuple[int, int], folded: bool) -> Field:
    """Return the (h, w) cover of an (R, C, 2) grid of points of the window; `rim` is that of its topology."""
    cover = np.zeros((size_wh[1], size_wh[0]), dtype=np.uint8)
    fixed = np.rint(points * (1 << SHIFT)).astype(np.int32)
    if folded:
        # A flank may lie over the other: cell by cell, as an outline that crosses itself has holes.
        cells = np.stack([fixed[:-1, :-1], fixed[:-1, 1:], fixed[1:, 1:], fixed[1:, :-1]], axis=2)
        for cell in cells.reshape(-1, 4, 2):
            cv2.fillConvexPoly(cover, cell, 255, cv2.LINE_8, SHIFT)
    else:
        cv2.fillPoly(cover, [fixed.reshape(-1, 2)[rim]], 255, cv2.LINE_AA, SHIFT)
    return shares(cover)


def _label_in_order(points: FloatArray, depth: FloatArray, size_wh: tuple[int, int]) -> npt.NDArray[np.int16]:
    """Return (h, w) which triangle of an (R, C, 2) grid a pixel shows, from 1, 0 for none; nearer ones win."""
    # int16 takes every label and is a type that `dilate` knows.
    label = np.zeros((size_wh[1], size_wh[0]), dtype=np.int16)
    triangles = topology(*depth.shape).triangles
    order = depth.reshape(-1)[triangles].sum(axis=1).argsort(kind="stable")
    fixed = np.rint(points.reshape(-1, 2)[triangles[order]] * (1 << SHIFT)).astype(np.int32)
    for number, triangle in zip(order.tolist(), fixed, strict=True):
        cv2.fillConvexPoly(label, triangle, number + 1, cv2.LINE_8, SHIFT)
    return label


def _label_by_samples(points: FloatArray, size_wh: tuple[int, int], extent: float) -> npt.NDArray[np.int16]:
    """Return (h, w) near which triangle of an (R, C, 2) grid without folds a pixel lies, from 1, 0 for none.

    Samples of the fabric, `DENSITY` to a pixel and more, are thrown on the pixels: a quarter of the time of a hundred
    polygons. A stretched flank may leave pixels between them out, to which labels are spread like those beyond
    the rim.
    """
    across = 16 * math.ceil(DENSITY * extent / 16)
    samples_wh = across, across * 3 // 4
    places = np.asarray(cv2.resize(points.astype(np.float32), samples_wh), np.float32)
    # What falls beside the window stays on a border that is cut off.
    places += np.float32(1.5)
    width, height = size_wh[0] + 2, size_wh[1] + 2
    x, y = (
        within(places[..., axis], 0, side - 1).astype(np.intp) for axis, side in ((0, width), (1, height))
    )
    y *= width
    y += x
    label = np.zeros((height, width), dtype=np.int16)
    label.reshape(-1)[y] = _sampled(*points.shape[:2], samples_wh)
    return label[1:-1, 1:-1]


@lru_cache(maxsize=32)
def _sampled(rows: int, columns: int, samples_wh: tuple[int, int]) -> npt.NDArray[np.int16]:
    """Return (h, w) the numbers, from 1, of the triangles on which samples of a grid lie."""
    u, v = (
        np.clip((np.arange(samples) + 0.5) * (vertices / samples) - 0.5, 0, vertices - 1)
        for samples, vertices in zip(samples_wh, (columns, rows), strict=True)
    )
    column, row = np.minimum(u.astype(int), columns - 2), np.minimum(v.astype(int), rows - 2)
    cell = row[:, None] * (columns - 1) + column + 1
    is_lower = (v - row)[:, None] > (u - column)
    label = cell + is_lower * (rows - 1) * (columns - 1)
    numbers: npt.NDArray[np.int16] = label.astype(np.int16)
    numbers.setflags(write=False)
    return numbers


@lru_cache(maxsize=32)
def _brush(side: int) -> npt.NDArray[np.uint8]:
    """Return the (side, side) square by which labels are spread."""
    brush = np.ones((side, side), np.uint8)
    brush.setflags(write=False)
    return brush


def _in_window(
    affines: npt.NDArray[np.complex128],
    origin_xy: tuple[int, int],
    scale: tuple[float, float],
    scale_uv: tuple[float, float],
) -> npt.NDArray[np.complex64]:
    """Return (T + 1, 3) a, b, c of triangles for the pixels of a window.

    Args:
        affines: (3, T + 1) for those of the image.
        origin_xy: the window's upper left pixel.
        scale: pixels of the window to one of the image, across and down.
        scale_uv: what u and v are at the fabric's far edges.
    """
    along_x, along_y, start = affines
    # The middles of the first pixel of both.
    x, y = (0.5 / by + first - 0.5 for by, first in zip(scale, origin_xy, strict=True))
    table = np.empty((affines.shape[1], 3), np.complex64)
    table[:, 0], table[:, 1] = along_x * (1 / scale[0]), along_y * (1 / scale[1])
    table[:, 2] = start + along_x * x + along_y * y
    as_numbers = table.view(np.float32).reshape(-1, 2)
    as_numbers *= np.array(scale_uv, np.float32)
    return table


def _interpolate(label: npt.NDArray[np.int16], affines: npt.NDArray[np.complex64]) -> Field:
    """Return (h, w, 2) u and v of every labelled pixel; 0 where the label is 0."""
    height, width = label.shape
    found = affines.take(label, axis=0)
    places = found[..., 0] * np.arange(width, dtype=np.float32)
    places += found[..., 1] * np.arange(height, dtype=np.float32)[:, None]
    places += found[..., 2]
    return places.view(np.float32).reshape(height, width, 2)
