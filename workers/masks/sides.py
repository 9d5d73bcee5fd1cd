"""How much brighter one side of a face is than the other, and a mask that shows as much."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray

# Where both halves of a face are compared, in units from between the eyes: columns on either side; rows of
# the forehead, of the skin under the eyes, and of the lower face.
COLUMNS = (0.05, 0.62)
FOREHEAD, UNDER_EYES, LOWER = (-0.80, -0.33), (0.15, 0.36), (0.40, 1.75)
# Darker than this part of a side's middle is hair, brighter than that a glint.
HAIR, GLINT = 0.6, 1.6
# Darker than this part of the other side is no shade on skin, but hair.
SHADE = 0.6
# Weights of the upper and the lower face.
UPPER_SHARE = 0.6
# Skin lets light through to its shaded side, fabric does not: the mask's halves differ more than the skin's.
# Photographed masks follow the raw asymmetry of the upper face, hair included, with a slope of .86, of which
# the skin alone has .67 on the faces of ../shared/faces: 1.28 against the skin. With what stands here drawn
# masks show 1.15 (true points) to 1.25 (found points) of it there: a part goes where whites are bent.
GAIN = 1.5
# In hard light from the side skin tells the whole of it: the mask's halves never differ more than this.
MOST = 0.45
# Fewer pixels on a side tell nothing.
LEAST = 5


def read_asymmetries(
    luma: npt.NDArray[np.float32], skin: npt.NDArray[np.bool_], across: FloatArray, along: FloatArray
) -> list[float]:
    """Return (L - R) / (L + R) of the luminance that a mask on each of B faces should show, L its image-left half.

    Args:
        luma: (B, h, w) of small pictures of the faces.
        skin: (B, h, w), what lies between brows and jaw.
        across, along: (B, h, w) places in them, in units from between the eyes.
    """
    aside = np.abs(across)
    beside = (aside > COLUMNS[0]) & (aside < COLUMNS[1])
    upper = beside & (_within(along, FOREHEAD) | _within(along, UNDER_EYES))
    lower = beside & skin & _within(along, LOWER)
    is_left = across < 0
    parts = np.array([upper & is_left, upper & ~is_left, lower & is_left, lower & ~is_left])
    sides = _levels(luma, parts)
    return [
        _shown(_asymmetry(upper_left, upper_right), _asymmetry(lower_left, lower_right))
        for upper_left, upper_right, lower_left, lower_right in (
            sides[face :: len(luma)] for face in range(len(luma))
        )
    ]


def _shown(upper: float | None, lower: float | None) -> float:
    """Return the asymmetry of a mask by those of the two parts of a face."""
    weights = UPPER_SHARE, 1 - UPPER_SHARE
    known = [(weight, half) for weight, half in zip(weights, (upper, lower), strict=True) if half is not None]
    if not known:
        return 0.0
    mean = sum(weight * half for weight, half in known) / sum(weight for weight, _ in known)
    return MOST * math.tanh(GAIN * mean / MOST)


def _levels(luma: npt.NDArray[np.float32], parts: npt.NDArray[np.bool_]) -> list[list[float]]:
    """Return the luminances in (P, B, h, w) parts of (B, h, w) pictures, sorted: part by part, of each all pictures."""
    there = parts.reshape(-1).nonzero()[0]
    levels = luma.reshape(-1)[there % luma.size].tolist()
    size = luma.size // len(luma)
    ends = there.searchsorted(np.arange(size, parts.size + 1, size)).tolist()
    return [sorted(levels[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _within(values: FloatArray, limits: tuple[float, float]) -> npt.NDArray[np.bool_]:
    return (values > limits[0]) & (values < limits[1])


def _asymmetry(left: list[float], right: list[float]) -> float | None:
    """Return (L - R) / (L + R) of the sorted luminances of two sides; None where one has hardly any.

    In lists: on a hundred numbers they take less than a tenth of the time of arrays.
    """
    if min(len(left), len(right)) < LEAST:
        return None
    middles = left[len(left) // 2], right[len(right) // 2]
    means: list[float] = []
    for side, own, other in ((left, middles[0], middles[1]), (right, middles[1], middles[0])):
        # Each side by its own middle, as one may lie in the shade; but where that is hair the other one tells.
        typical = max(own, SHADE * other)
        plain = side[bisect_right(side, HAIR * typical) : bisect_left(side, GLINT * typical)]
        if len(plain) < LEAST:
            return None
        means.append(sum(plain) / len(plain))
    return (means[0] - means[1]) / max(means[0] + means[1], 1.0)
