"""Where the mask touches the face: its control points, from the landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from common.arrays import FloatArray
from workers.masks.frame import FaceFrame, as_plain
from workers.masks.shapes import Cut
from workers.masks.wearing import hanging_points, lowered_points

# Control columns from the image-left edge to the image-right one, and rows from the upper edge to the lower:
# bridge of the nose, tip, mouth, chin; v grows with the length of the fabric, which climbs the nose.
U_KNOTS = (-1.0, -0.7, -0.35, 0.0, 0.35, 0.7, 1.0)
V_KNOTS = (0.0, 0.27, 0.60, 1.0)
# Where the columns beside the middle lie around the head, in parts of the angle of the side edge.
COLUMN_SHARES = (0.35, 0.7, 1.0)
# Where the ends of the jaw line, landmarks 0 and 16, lie around the head, from the nose.
JAW_DEG = 84.0
# How far the fabric reaches past the lips on the far side of a turned face at least, in units.
LIP_GAP = 0.12
# How far the upper edge stays below the lower lids at least, in units: its soft edge reaches up by 0.1.
LID_GAP = 0.18
# How far below the eyes the mask crosses the nose at least, in units, where the nose is long enough.
ROOT_GAP = 0.15
# The jaw's numbers under the control columns of the lower edge, from the outer one; the outermost come from
# the cut.
CHIN_JAW = (6.9, 5.5)
# Which rows of a side's own points (`_side_points`) are what.
_RIM, _CHIN, _LIDS, _ALA, _CORNER = slice(0, 4), slice(4, 6), slice(6, 8), 8, 9
# Towards the jaw's angle the silhouette is the mask's own edge.
_INSET = (1.0, 0.9, 0.55, 0.2)


def control_points(landmarks: FloatArray, frame: FaceFrame, cut: Cut, wear: str = "correct") -> FloatArray:
    """Return the (4, 7, 2) control points of a mask at `V_KNOTS` x `U_KNOTS`, x, y in pixels.

    Args:
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame: the same face's axes.
        cut: how the mask is cut.
        wear: one of `common.kinds.WEARS`.
    """
    if wear == "hanging":
        return hanging_points(landmarks, frame)
    if wear != "correct":
        seen = [
            [_seen_fraction(s * cut.edge_deg, side * frame.yaw) for s in COLUMN_SHARES] for side in (-1, 1)
        ]
        return lowered_points(landmarks, frame, cut, wear, np.array(seen))
    points, axes = as_plain(landmarks), _Axes.of(frame)
    middle = _middle(points, axes, cut)
    own = as_plain(_side_points(cut) @ landmarks)
    reach = [axes.across(point) for point in points[48:60]]
    halves = []
    for side, of_side in ((-1, own[:10]), (1, own[10:])):
        half = _side(middle, of_side, axes, cut, side)
        # In a turned face the lips stand before the far cheek, and the fabric before them.
        gap = LIP_GAP - 0.4 * (1 - min(max((side * axes.yaw - 0.2) / 0.4, 0.0), 1.0))
        least = side * (max(reach) if side > 0 else min(reach)) + gap * axes.unit
        half[2][0] += side * max(0.0, least - side * axes.across(half[2][0])) * axes.right
        halves.append(half)
    rows = [
        [*reversed(left), centre, *right]
        for left, centre, right in zip(halves[0], middle, halves[1], strict=True)
    ]
    return np.array(rows).view(np.float64).reshape(4, 7, 2)


@dataclass(frozen=True, slots=True)
class _Axes:
    """A `FaceFrame` in plain numbers: points as x + yi."""

    eyes: complex
    mouth: complex
    right: complex
    down: complex
    unit: float
    yaw: float

    @classmethod
    def of(cls, frame: FaceFrame) -> _Axes:
        """Return the axes of a frame."""
        eyes, mouth, right, down = as_plain(np.array([frame.eyes, frame.mouth, frame.right, frame.down]))
        return cls(eyes, mouth, right, down, frame.unit, frame.yaw)

    def across(self, point: complex) -> float:
        """Return the distance of a point from the face's axis along `right`."""
        away = point - self.eyes
        return away.real * self.right.real + away.imag * self.right.imag

    def along(self, point: complex) -> float:
        """Return the distance of a point below the eyes along `down`."""
        away = point - self.eyes
        return away.real * self.down.real + away.imag * self.down.imag


@lru_cache(maxsize=64)
def _side_points(cut: Cut) -> FloatArray:
    """Return the (20, 68) matrix that takes the 68 points to what either side is laid by, image-left first.

    Ten points a side: on the jaw the ends of the four rows and the two under the inner columns, the lower
    lid's outer and inner point, nostril, corner of the mouth.
    """
    numbers = (
        *np.interp(V_KNOTS, (V_KNOTS[0], V_KNOTS[-1]), (cut.jaw_top, cut.jaw_bottom)).tolist(),
        *CHIN_JAW,
    )
    matrix = np.zeros((2, 10, 68))
    for side, (jaw, features) in enumerate(
        ((range(17), (41, 40, 31, 48)), (range(16, -1, -1), (46, 47, 35, 54)))
    ):
        for row, number in enumerate(numbers):
            low = min(int(number), 15)
            matrix[side, row, jaw[low]], matrix[side, row, jaw[low + 1]] = 1 - number + low, number - low
        matrix[side, range(6, 10), features] = 1
    flat = matrix.reshape(20, 68)
    flat.setflags(write=False)
    return flat


def _middle(landmarks: Sequence[complex], axes: _Axes, cut: Cut) -> list[complex]:
    """Return the 4 control points over bridge, tip of the nose, lips and chin."""
    root_xy, tip_xy, chin_xy = landmarks[27], landmarks[30], landmarks[8]
    # A face that looks sideways shows how far the fabric stands off its nose.
    forward = math.sin(axes.yaw) * axes.unit * cut.bulge * axes.right
    # On a face that looks up the nose's root stands level with the eyes, and would hide the far one.
    root, tip = axes.along(root_xy), axes.along(tip_xy)
    down_nose = (ROOT_GAP * axes.unit - root) / max(tip - root, 1e-6)
    bridge = root_xy + min(max(down_nose, cut.bridge), 0.75) * (tip_xy - root_xy)
    lips = (landmarks[51] + landmarks[57] + landmarks[62] + landmarks[66]) / 4
    chin = chin_xy + cut.overhang * axes.unit * (chin_xy - lips) / max(abs(chin_xy - lips), 1e-9)
    upper, nose, mouth = bridge + 0.3 * forward, tip_xy + forward, lips + forward
    # Fabric is stretched: seen from the side it runs straight from nose to chin where the lips lie behind.
    share = (V_KNOTS[2] - V_KNOTS[1]) / (V_KNOTS[3] - V_KNOTS[1])
    behind = nose + share * (chin - nose) - mouth
    ahead = math.copysign(1.0, axes.yaw) if axes.yaw else 0.0
    away = behind.real * axes.right.real + behind.imag * axes.right.imag
    return [upper, nose, mouth + ahead * max(0.0, ahead * away) * axes.right, chin]


def _side(
    centre: Sequence[complex], own: Sequence[complex], axes: _Axes, cut: Cut, side: int
) -> list[list[complex]]:
    """Return 4 rows of 3 control points of one side, from the nose outwards.

    Args:
        centre: the 4 of the middle column.
        own: 10 of `_side_points`.
        side: -1 image-left, 1 image-right.
    """
    # The mask lies on a round head: angles from the nose become fractions of the way to the silhouette.
    near, middle, edge = (_seen_fraction(share * cut.edge_deg, side * axes.yaw) for share in COLUMN_SHARES)
    points = [
        [start + share * (end - start) for share in (near, middle, 1 - (1 - edge) * inset)]
        for start, end, inset in zip(centre, own[_RIM], _INSET, strict=True)
    ]
    # Nostril and mouth tell better than the round head where the middle of this side is.
    points[1][0] = (points[1][0] + 1.6 * own[_ALA] - 0.6 * centre[1]) / 2
    points[2][0] = (points[2][0] + own[_CORNER]) / 2
    points[3][:2] = own[_CHIN]
    for column, point in enumerate(points[3]):
        outwards = point - axes.mouth
        points[3][column] += cut.overhang * axes.unit * outwards / max(abs(outwards), 1e-6)
    outer, inner = (axes.along(lid) for lid in own[_LIDS])
    for column, lid in enumerate((inner, outer, outer)):
        upper = here = axes.along(points[0][column])
        if column < 2:
            here = cut.cheek * axes.along(points[1][column]) + (1 - cut.cheek) * lid
        points[0][column] += (max(here, lid + LID_GAP * axes.unit) - upper) * axes.down
    return points


def _seen_fraction(angle_deg: float, yaw_away: float) -> float:
    """Return where a point around the head is seen, from the middle line at 0 to the face's silhouette at 1.

    Args:
        angle_deg: the point's angle from the nose, 0 to `JAW_DEG`.
        yaw_away: how far the head is turned to the point's side, radians; negative shows more of that side.
    """
    silhouette = min(math.radians(JAW_DEG) + yaw_away, math.pi / 2)
    point = min(math.radians(angle_deg) + yaw_away, math.pi / 2)
    middle = math.sin(yaw_away)
    return (math.sin(point) - middle) / max(math.sin(silhouette) - middle, 1e-3)
