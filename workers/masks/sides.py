"""How much brighter one side of a face is than the other, and a mask that shows as much."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.ranks import rank

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


def read_asymmetry(
    luma: npt.NDArray[np.float32], skin: npt.NDArray[np.bool_], across: FloatArray, along: FloatArray
) -> float:
    """Return (L - R) / (L + R) of the luminance that a mask on a face should show, L its image-left half.

    Args:
        luma: (h, w) of a small picture of the face.
        skin: (h, w), what lies between brows and jaw.
        across, along: (h, w) places in it, in units from between the eyes.
    """
    aside = np.abs(across)
    beside = (aside > COLUMNS[0]) & (aside < COLUMNS[1])
    upper = _within(along, FOREHEAD) | _within(along, UNDER_EYES)
    halves = [
        _asymmetry(luma[where], across[where])
        for where in (beside & upper, beside & skin & _within(along, LOWER))
    ]
    weights = UPPER_SHARE, 1 - UPPER_SHARE
    known = [(weight, half) for weight, half in zip(weights, halves, strict=True) if half is not None]
    if not known:
        return 0.0
    mean = sum(weight * half for weight, half in known) / sum(weight for weight, _ in known)
    return MOST * math.tanh(GAIN * mean / MOST)


def _within(values: FloatArray, limits: tuple[float, float]) -> npt.NDArray[np.bool_]:
    return (values > limits[0]) & (values < limits[1])


def _asymmetry(luma: npt.NDArray[np.float32], across: FloatArray) -> float | None:
    """Return (L - R) / (L + R) of (N,) luminances at (N,) places; None where a side has hardly any."""
    is_left = across < 0
    sides = luma[is_left], luma[~is_left]
    if min(side.size for side in sides) < LEAST:
        return None
    middles = [rank(side, 0.5) for side in sides]
    # Each side by its own middle, as one may lie in the shade; but where that is hair the other one tells.
    typical = [max(own, SHADE * other) for own, other in zip(middles, reversed(middles), strict=True)]
    plain = [
        side[(side > HAIR * one) & (side < GLINT * one)] for side, one in zip(sides, typical, strict=True)
    ]
    if min(side.size for side in plain) < LEAST:
        return None
    left, right = (float(side.sum()) / side.size for side in plain)
    return (left - right) / max(left + right, 1.0)
