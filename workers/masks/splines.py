"""Cubic splines as matrices: fine points = matrix @ control points."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from common.arrays import FloatArray


@lru_cache(maxsize=16)
def spline_matrix(knots: tuple[float, ...], count: int) -> FloatArray:
    """Return the (count, K) matrix of the natural cubic spline through K knots, sampled evenly end to end.

    Args:
        knots: K >= 3 rising parameters of the control points.
        count: samples, the first on the first knot and the last on the last.
    """
    x = np.array(knots)
    step = np.diff(x)
    size = len(x)
    # Second derivatives M, 0 at the ends, from the slopes s between the knots h apart:
    # h[i-1] M[i-1] + 2 (h[i-1] + h[i]) M[i] + h[i] M[i+1] = 6 (s[i] - s[i-1]).
    system = np.eye(size)
    slopes = np.zeros((size, size))
    for i in range(1, size - 1):
        system[i, i - 1 : i + 2] = step[i - 1], 2 * (step[i - 1] + step[i]), step[i]
        slopes[i, i - 1 : i + 2] = 6 / step[i - 1], -6 / step[i - 1] - 6 / step[i], 6 / step[i]
    bend = np.linalg.solve(system, slopes)
    at = np.linspace(x[0], x[-1], count)
    cell = np.clip(np.searchsorted(x, at, side="right") - 1, 0, size - 2)
    h = step[cell][:, None]
    ahead = ((at - x[cell])[:, None]) / h
    behind = 1 - ahead
    unit = np.eye(size)
    matrix: FloatArray = (
        behind * unit[cell]
        + ahead * unit[cell + 1]
        + h**2 / 6 * ((behind**3 - behind) * bend[cell] + (ahead**3 - ahead) * bend[cell + 1])
    )
    matrix.setflags(write=False)
    return matrix
