"""Planar transforms from point pairs, in closed form and float64.

A transform is a (2, 3) float64 matrix M that takes a point (x, y) in pixels to M·(x, y, 1), as
`cv2.warpAffine` wants it.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray

Matrix: TypeAlias = npt.NDArray[np.float64]
"""(2, 3) float64."""


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
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    s, d = source - source_mean, target - target_mean
    v = float((s * s).sum())
    if v == 0.0:
        raise ValueError("a similarity needs source points that differ, got points that all coincide")
    a = float((s * d).sum()) / v
    b = float((s[:, 0] * d[:, 1] - s[:, 1] * d[:, 0]).sum()) / v
    linear = np.array([[a, -b], [b, a]])
    return _with_shift(linear, source_mean, target_mean)


def fit_affine(source_xy: FloatArray, target_xy: FloatArray) -> Matrix:
    """Solve the affine transform that takes three points exactly to three others.

    Args:
        source_xy: (3, 2), pixels, not on one line.
        target_xy: (3, 2), pixels.

    Raises:
        ValueError: other shapes, a point that is not finite, or source points on one line.
    """
    source, target = _checked_pair(source_xy, target_xy)
    if source.shape != (3, 2):
        raise ValueError(f"an affine transform needs (3, 2) points, got {source.shape}")
    (ux, uy), (vx, vy) = source[1] - source[0], source[2] - source[0]
    determinant = ux * vy - uy * vx
    # Twice the triangle's area against the size of its terms: below this only rounding is left.
    if abs(determinant) <= 1e-12 * (abs(ux * vy) + abs(uy * vx)):
        raise ValueError("an affine transform needs three points that are not on one line")
    inverse = np.array([[vy, -vx], [-uy, ux]]) / determinant
    linear = np.column_stack([target[1] - target[0], target[2] - target[0]]) @ inverse
    return _with_shift(linear, source[0], target[0])


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


def _with_shift(linear: Matrix, source_point: Matrix, target_point: Matrix) -> Matrix:
    """Complete a (2, 2) linear part so that one point lands on the other."""
    return np.column_stack([linear, target_point - linear @ source_point])


def _checked_pair(source_xy: FloatArray, target_xy: FloatArray) -> tuple[Matrix, Matrix]:
    source, target = np.asarray(source_xy, np.float64), np.asarray(target_xy, np.float64)
    if source.ndim != 2 or source.shape[1:] != (2,) or source.shape != target.shape or len(source) < 2:
        raise ValueError(f"points must be two (N, 2) arrays, N >= 2, got {source.shape} and {target.shape}")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("points must be finite numbers, got NaN or infinity")
    return source, target
