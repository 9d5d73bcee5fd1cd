"""What the layouts share: grids of cells, boxes against priors, scores as probabilities."""

from __future__ import annotations

import numpy as np

from common.arrays import FloatArray
from workers.descriptions import Decode


def cells(size_wh: tuple[int, int], stride: int) -> FloatArray:
    """Return (h·w, 2), the column and row of each cell of a stride, row by row."""
    return grid(-(-size_wh[0] // stride), -(-size_wh[1] // stride))


def grid(width: int, height: int) -> FloatArray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float64)


def from_priors(
    offsets: FloatArray, middles: FloatArray, sides: FloatArray, variances: tuple[float, float]
) -> FloatArray:
    """Return boxes of (N, 4) offsets (centre, logarithm of size) against priors; sides (N, 1)."""
    centres = middles + offsets[:, :2] * variances[0] * sides
    halves = sides * np.exp(offsets[:, 2:] * variances[1]) / 2
    return np.concatenate([centres - halves, centres + halves], axis=1)


def activated(scores: FloatArray, decode: Decode, published: str) -> FloatArray:
    """Return (N, C) scores as probabilities."""
    activation = decode.activation or published
    if activation == "softmax":
        return softmax(scores)
    return 1 / (1 + np.exp(-scores)) if activation == "sigmoid" else scores


def softmax(scores: FloatArray) -> FloatArray:
    """Return shares of 1 along the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: FloatArray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def check_length(rows: FloatArray, expected: int, strides: object) -> None:
    if len(rows) != expected:
        raise ValueError(f"{expected} boxes were expected for strides {strides}, got {len(rows)}")
