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
    place = min(int(share * flat.size), flat.size - 1)
    return float(np.partition(flat, place)[place])
