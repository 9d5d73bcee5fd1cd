"""Quantiles without interpolation."""

from __future__ import annotations

import numpy as np

from common.arrays import FloatArray


def rank(values: FloatArray, share: float) -> float:
    """Return the value above `share` of all others; `np.quantile` takes 0.1 ms more, five times a face.

    Args:
        values: at least one, any shape.
        share: 0 the smallest, 0.5 the (upper) median, 1 the largest.
    """
    flat = values.reshape(-1)
    place = place_of(share, flat.size)
    return float(np.partition(flat, place)[place])


def place_of(share: float, count: int) -> int:
    """Return which of `count` sorted values `rank` takes."""
    return min(int(share * count), count - 1)
