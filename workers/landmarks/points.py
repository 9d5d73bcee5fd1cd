"""Orders of face points, and the way from one to another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray


def five_points(points68: FloatArray) -> FloatArray:
    """Return (..., 5, 2) from (..., 68, 2): middles of the eyes, tip of the nose, corners of the mouth.

    Left and right as seen in the image: means of 36–41 and of 42–47, then 30, 48, 54.
    """
    points5 = np.empty((*points68.shape[:-2], 5, 2))
    # Both eyes at once, and no `mean`: a third of the time, the same numbers.
    eyes = points68[..., 36:48, :].reshape(*points68.shape[:-2], 2, 6, 2)
    points5[..., :2, :] = np.add.reduce(eyes, axis=-2) / 6
    points5[..., 2, :] = points68[..., 30, :]
    points5[..., 3:, :] = points68[..., 48:55:6, :]
    return points5


def aside(points5: FloatArray) -> FloatArray:
    """Return (...) how far the tip of the nose lies from the middle between the eyes, along the line of the eyes.

    A measure of how far a face is turned to the side, whatever its tilt: in distances of the eyes; infinite where
    the eyes are in one place.

    Args:
        points5: (..., 5, 2), pixels.
    """
    left, right, nose = points5[..., 0, :], points5[..., 1, :], points5[..., 2, :]
    across = right - left
    square = (across * across).sum(axis=-1)
    along = np.abs(((nose - (left + right) / 2) * across).sum(axis=-1))
    turned: FloatArray = np.divide(along, square, out=np.full(square.shape, np.inf), where=square != 0)
    return turned


def _wflw_for_each_of_68() -> list[int]:
    contour = range(0, 33, 2)
    brows = [*range(33, 38), *range(42, 47)]
    nose = range(51, 60)
    eyes = [60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75]
    mouth = range(76, 96)
    return [*contour, *brows, *nose, *eyes, *mouth]


WFLW_TO_68: npt.NDArray[np.intp] = np.array(_wflw_for_each_of_68(), dtype=np.intp)
"""(68,): the WFLW index (0–97) of each point of the 68 (spec/pipeline.md, Models).

The crops' three points agree: 39, 42, 57 of the 68 are 64, 68, 85 of WFLW.
"""

WFLW_FIVE: npt.NDArray[np.intp] = np.array([96, 97, 54, 76, 82], dtype=np.intp)
"""(5,): the WFLW indices of pupils, tip of the nose and corners of the mouth."""
