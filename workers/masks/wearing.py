"""Where a mask lies that is worn wrongly: under the nose, under the chin, from one ear."""

from __future__ import annotations

import numpy as np

from common.arrays import FloatArray
from workers.masks.frame import FaceFrame
from workers.masks.shapes import Cut

# Per way of wearing, for the middle column from the upper edge down: between which landmarks it lies, how far
# along, and how far below that, in units; then the numbers on the jaw line where the side edge begins and
# ends, and how far the lower edge hangs below it.
_LOWERED = {
    "nose-out": (
        ((33, 51, 0.50, 0.0), (62, 66, 0.5, 0.0), (57, 8, 0.55, 0.0), (57, 8, 1.0, 0.20)),
        (2.7, 4.6),
        0.14,
    ),
    "mouth-out": (
        ((57, 8, 0.42, 0.0), (57, 8, 0.75, 0.0), (57, 8, 1.0, 0.06), (57, 8, 1.0, 0.42)),
        (4.4, 5.6),
        0.34,
    ),
}
# A mask that hangs from one ear: length and seen width in units, sway of its lower end away from the face.
HANGING_LENGTH, HANGING_WIDTH, HANGING_SWAY = 1.75, 0.72, 0.16


def lowered_points(
    landmarks: FloatArray, frame: FaceFrame, cut: Cut, wear: str, seen: FloatArray
) -> FloatArray:
    """Return the (4, 7, 2) control points of a mask that leaves the nose, or nose and mouth, free.

    Args:
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame: the same face's axes.
        cut: how far the mask reaches past the jaw line.
        wear: `nose-out` or `mouth-out`.
        seen: (2, 3) for the image-left and the image-right side, where the columns beside the middle, half-way
            and at the edge are seen: parts of the way to the silhouette.
    """
    middle, (jaw_top, jaw_bottom), hang = _LOWERED[wear]
    control = np.empty((4, 7, 2))
    for row, (start, end, share, below) in enumerate(middle):
        control[row, 3] = (
            landmarks[start] + share * (landmarks[end] - landmarks[start]) + below * frame.unit * frame.down
        )
    numbers = np.interp((0.0, 0.3, 0.65, 1.0), (0.0, 1.0), (jaw_top, jaw_bottom))
    for columns, jaw, shares in (
        ([2, 1, 0], landmarks[:17], seen[0]),
        ([4, 5, 6], landmarks[16::-1], seen[1]),
    ):
        low = numbers.astype(int)
        rim = jaw[low] + (numbers - low)[:, None] * (jaw[low + 1] - jaw[low])
        rim = rim + np.linspace(0, hang, 4)[:, None] * frame.unit * frame.down
        for column, share in zip(columns, shares, strict=True):
            control[:, column] = control[:, 3] + share * (rim - control[:, 3])
        # The lower edge follows the jaw, and hangs a little below.
        under = jaw[[7, 6]] + (hang + cut.overhang) * frame.unit * frame.down
        control[3, columns[:2]] = under
    return control


def hanging_points(landmarks: FloatArray, frame: FaceFrame) -> FloatArray:
    """Return the (4, 7, 2) control points of a mask that hangs by one loop from the ear that is seen best.

    Its columns run down from the ear, its rows towards image-left, so that it shows its outer side.

    Args:
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame: the same face's axes.
    """
    side = hanging_side(frame)
    ear, cheek = (landmarks[16], landmarks[14]) if side > 0 else (landmarks[0], landmarks[2])
    top = (ear + cheek) / 2 + 0.04 * side * frame.unit * frame.right + 0.35 * frame.unit * frame.down
    along = np.linspace(0, 1, 7)
    across = np.array([0.5, 0.17, -0.17, -0.5])
    # The loop gathers the upper end; cloth widens below it and narrows again towards the free end.
    width = HANGING_WIDTH * frame.unit * (0.62 + 0.38 * np.sin(np.pi * np.clip(0.15 + 0.8 * along, 0, 1)))
    sway = side * HANGING_SWAY * frame.unit * along**1.5
    centre = top + (along * HANGING_LENGTH * frame.unit)[:, None] * frame.down + sway[:, None] * frame.right
    control: FloatArray = centre[None] + (across[:, None] * width)[..., None] * frame.right
    return control


def hanging_side(frame: FaceFrame) -> int:
    """Return 1 where the mask hangs from the image-right ear, -1 from the image-left: the nearer one."""
    return -1 if frame.yaw > 0 else 1
