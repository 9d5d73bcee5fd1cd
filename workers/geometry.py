"""Planar transforms from point pairs, in closed form and float64.

A transform is a (2, 3) float64 matrix M that takes a point (x, y) in pixels to M·(x, y, 1), as
`cv2.warpAffine` wants it.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray

Matrix: TypeAlias = npt.NDArray[np.float64]
"""(2, 3) float64."""

Points: TypeAlias = list[list[float]]
"""Pairs x, y."""


def fit_similarity(source_xy: FloatArray, target_xy: FloatArray) -> Matrix:
    """Fit rotation, uniform scale and shift by least squares over all points; never a reflection.

    Closed form with both sets centred, s source, d target: v = Σ|s|², a = Σ(sx·dx + sy·dy)/v,
    b = Σ(sx·dy − sy·dx)/v, M = [[a, −b, tx], [b, a, ty]], t = mean(d) − R·mean(s).

    Args:
        source_xy: (N, 2), pixels, N ≥ 2.
        target_xy: (N, 2), pixels.

    Raises:
        ValueError: shapes that differ, a point that is not finite, or source points that all coincide.
    """
    source, target = _checked_pair(source_xy, target_xy)
    # Plain numbers: for a handful of points they take a third of the time of arrays.
    (sx, sy), (dx, dy) = _mean(source), _mean(target)
    v = a = b = 0.0
    for (x, y), (to_x, to_y) in zip(source, target, strict=True):
        x, y, to_x, to_y = x - sx, y - sy, to_x - dx, to_y - dy
        v += x * x + y * y
        a += x * to_x + y * to_y
        b += x * to_y - y * to_x
    if v == 0.0:
        raise ValueError("a similarity needs source points that differ, got points that all coincide")
    a, b = a / v, b / v
    return np.array([[a, -b, dx - (a * sx - b * sy)], [b, a, dy - (b * sx + a * sy)]])


def fit_affine(source_xy: FloatArray, target_xy: FloatArray) -> Matrix:
    """Solve the affine transform that takes three points exactly to three others.

    Args:
        source_xy: (3, 2), pixels, not on one line.
        target_xy: (3, 2), pixels.

    Raises:
        ValueError: other shapes, a point that is not finite, or source points on one line.
    """
    source, target = _checked_pair(source_xy, target_xy)
    if len(source) != 3:
        raise ValueError(f"an affine transform needs (3, 2) points, got ({len(source)}, 2)")
    (sx, sy), (dx, dy) = source[0], target[0]
    ux, uy, vx, vy = source[1][0] - sx, source[1][1] - sy, source[2][0] - sx, source[2][1] - sy
    determinant = ux * vy - uy * vx
    # Twice the triangle's area against the size of its terms: below this only rounding is left.
    if abs(determinant) <= 1e-12 * (abs(ux * vy) + abs(uy * vx)):
        raise ValueError("an affine transform needs three points that are not on one line")
    rows = []
    for axis, start in ((0, dx), (1, dy)):
        to_u, to_v = target[1][axis] - start, target[2][axis] - start
        along_x, along_y = (to_u * vy - to_v * uy) / determinant, (to_v * ux - to_u * vx) / determinant
        rows.append([along_x, along_y, start - (along_x * sx + along_y * sy)])
    return np.array(rows)


def transform_points(matrix: Matrix, points_xy: FloatArray) -> FloatArray:
    """Map points through a transform.

    Args:
        matrix: (2, 3) float64.
        points_xy: (N, 2), pixels; N may be 0.

    Returns:
        A new (N, 2) float64 array.
    """
    moved: FloatArray = np.asarray(points_xy, np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return moved


def _mean(points: Points) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _checked_pair(source_xy: FloatArray, target_xy: FloatArray) -> tuple[Points, Points]:
    source, target = np.asarray(source_xy, np.float64), np.asarray(target_xy, np.float64)
    if source.ndim != 2 or source.shape[1:] != (2,) or source.shape != target.shape or len(source) < 2:
        raise ValueError(f"points must be two (N, 2) arrays, N >= 2, got {source.shape} and {target.shape}")
    pair: tuple[Points, Points] = source.tolist(), target.tolist()
    # Number by number: for a handful of points a fifth of the time of an array's.
    if not all(math.isfinite(x) and math.isfinite(y) for points in pair for x, y in points):
        raise ValueError("points must be finite numbers, got NaN or infinity")
    return pair
