"""What every embedder takes and gives."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr

Embedding: TypeAlias = npt.NDArray[np.float32]
"""(D,) float32 of length 1."""

_DIGITS = 6


class Embedder(Protocol):
    """Turns a face into numbers that are near each other for one person."""

    @property
    def name(self) -> str:
        """As `common.identity` names it; stands with every embedding."""

    def embed(self, image_bgr: ImageBgr, points68: FloatArray, points5: FloatArray) -> Embedding:
        """Return the embedding of one face.

        Args:
            image_bgr: the whole image.
            points68: (68, 2), pixels.
            points5: (5, 2), pixels.

        Raises:
            ValueError: the network gives no finite numbers, or points that coincide.
        """


def unit(values: npt.ArrayLike) -> Embedding:
    """Return a vector of length 1; raises ValueError where it has no direction."""
    vector = np.asarray(values, np.float64).reshape(-1)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise ValueError(f"an embedding must be finite and not zero, got length {length}")
    return (vector / length).astype(np.float32)


def distance(one: Embedding, other: Embedding) -> float:
    """Return 1 − cosine, 0 to 2, to six digits: the last bits differ between machines."""
    return round(1.0 - float(np.dot(one.astype(np.float64), other.astype(np.float64))), _DIGITS)
