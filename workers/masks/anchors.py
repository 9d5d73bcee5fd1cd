"""Where the mask touches the face: its control points, from the landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.frame import FaceFrame, stacked
from workers.masks.planes import within
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
# Which rows of a side's own points (`_side_points`) are what; the lids' are those of the three columns.
_RIM, _CHIN, _LIDS, _ALA, _CORNER = slice(0, 4), slice(4, 6), [7, 6, 6], 8, 9
# Towards the jaw's angle the silhouette is the mask's own edge.
_INSET = np.array([[1.0], [0.9], [0.55], [0.2]])
# Image-left and image-right.
_SIGNS = np.array([[-1.0], [1.0]])
Points = npt.NDArray[np.complex128]


def control_points(
    landmarks: FloatArray, frames: Sequence[FaceFrame], cuts: Sequence[Cut], wears: Sequence[str]
) -> Points:
    """Return the (B, 4, 7) control points x + yi of B masks at `V_KNOTS` x `U_KNOTS`, pixels.

    Args:
        landmarks: (B, 68, 2) x, y in pixels, iBUG order.
        frames: the same faces' axes.
        cuts: how the masks are cut.
        wears: each one of `common.kinds.WEARS`.
    """
    control = _worn_points(landmarks, frames, cuts)
    for face, (frame, cut, wear) in enumerate(zip(frames, cuts, wears, strict=True)):
        if wear == "hanging":
            own = hanging_points(landmarks[face], frame)
        elif wear != "correct":
            seen = _seen_fractions(np.array([cut.edge_deg]), np.array([[-frame.yaw], [frame.yaw]]))
            own = lowered_points(landmarks[face], frame, cut, wear, seen[..., 0].T)
        else:
            continue
        control[face] = own.view(np.complex128)[..., 0]
    return control


@dataclass(frozen=True, slots=True)
class _Axes:
    """The frames of B faces as x + yi: (B,) each."""

    eyes: Points
    mouth: Points
    right: Points
    down: Points
    unit: FloatArray
    yaw: FloatArray

    @classmethod
    def of(cls, frames: Sequence[FaceFrame]) -> _Axes:
        """Return the axes of frames."""
        vectors, unit = stacked(frames)
        eyes, mouth, right, down = vectors.view(np.complex128)[..., 0].T
        return cls(eyes, mouth, right, down, unit[:, 0], np.array([frame.yaw for frame in frames]))

    def across(self, points: Points) -> FloatArray:
        """Return the distances of (…, B) points from the faces' axes along `right`."""
        return _along(points - self.eyes, self.right)

    def along(self, points: Points) -> FloatArray:
        """Return the distances of (…, B) points below the eyes along `down`."""
        return _along(points - self.eyes, self.down)


def _along(ways: Points, axis: Points) -> FloatArray:
    """Return how long (…, B) ways are along (B,) unit vectors."""
    length: FloatArray = (ways * axis.conj()).real
    return length


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


def _worn_points(landmarks: FloatArray, frames: Sequence[FaceFrame], cuts: Sequence[Cut]) -> Points:
    """Return the (B, 4, 7) control points of masks that cover nose, mouth and chin."""
    axes = _Axes.of(frames)
    points = np.ascontiguousarray(landmarks.view(np.complex128)[..., 0].T)
    edge_deg, bridge, cheek, bulge, overhang = np.array(
        [(cut.edge_deg, cut.bridge, cut.cheek, cut.bulge, cut.overhang) for cut in cuts]
    ).T
    past_jaw = overhang * axes.unit
    middle = _middle(points, axes, bridge, bulge, past_jaw)
    laid_by = np.array([_side_points(cut) @ own for cut, own in zip(cuts, landmarks, strict=True)])
    own = laid_by.view(np.complex128)[..., 0].T.reshape(2, 10, -1)
    sides = _sides(middle, own, axes, edge_deg, cheek, past_jaw)
    # In a turned face the lips stand before the far cheek, and the fabric before them.
    beside = sides[:, 2, 0]
    lips = _SIGNS * _along(points[48:60, None] - beside, axes.right)
    turned = within((_SIGNS * axes.yaw - 0.2) / 0.4, 0.0, 1.0)
    short = lips.max(axis=0) + (LIP_GAP - 0.4 + 0.4 * turned) * axes.unit
    beside += _SIGNS * np.maximum(short, 0) * axes.right
    control = np.empty((len(frames), 4, 7), np.complex128)
    control[..., 2::-1], control[..., 4:] = sides.transpose(0, 3, 1, 2)
    control[..., 3] = middle.T
    return control


def _middle(
    points: Points, axes: _Axes, bridge: FloatArray, bulge: FloatArray, past_jaw: FloatArray
) -> Points:
    """Return the (4, B) control points over bridge, tip of the nose, lips and chin, of (68, B) points."""
    root_xy, tip_xy, chin_xy = points[27], points[30], points[8]
    # A face that looks sideways shows how far the fabric stands off its nose.
    forward = np.sin(axes.yaw) * axes.unit * bulge * axes.right
    # On a face that looks up the nose's root stands level with the eyes, and would hide the far one.
    root, tip = axes.along(points[[27, 30]])
    down_nose = (ROOT_GAP * axes.unit - root) / np.maximum(tip - root, 1e-6)
    crossed = root_xy + np.minimum(np.maximum(down_nose, bridge), 0.75) * (tip_xy - root_xy)
    lips = (points[51] + points[57] + points[62] + points[66]) / 4
    outwards = chin_xy - lips
    chin = chin_xy + past_jaw * outwards / np.maximum(np.abs(outwards), 1e-9)
    upper, nose, mouth = crossed + 0.3 * forward, tip_xy + forward, lips + forward
    # Fabric is stretched: seen from the side it runs straight from nose to chin where the lips lie behind.
    share = (V_KNOTS[2] - V_KNOTS[1]) / (V_KNOTS[3] - V_KNOTS[1])
    ahead = np.sign(axes.yaw)
    away = ahead * _along(nose + share * (chin - nose) - mouth, axes.right)
    return np.array([upper, nose, mouth + ahead * np.maximum(away, 0) * axes.right, chin])


def _sides(
    middle: Points, own: Points, axes: _Axes, edge_deg: FloatArray, cheek: FloatArray, past_jaw: FloatArray
) -> Points:
    """Return (2, 4, 3, B): of both sides 4 rows of 3 control points, from the nose outwards.

    Args:
        middle: (4, B) of the middle column.
        own: (2, 10, B) of `_side_points`.
        edge_deg, cheek: (B,) of the cuts.
        past_jaw: (B,) pixels by which the masks reach past the jaw line.
    """
    # The mask lies on a round head: angles from the nose become fractions of the way to the silhouette.
    shares = np.empty((2, 4, 3, len(edge_deg)))
    shares[...] = _seen_fractions(edge_deg, _SIGNS * axes.yaw).transpose(1, 0, 2)[:, None]
    edge = shares[:, :, 2]
    edge -= 1
    edge *= _INSET
    edge += 1
    points = middle[:, None] + shares * (own[:, _RIM] - middle)[:, :, None]
    # Nostril and mouth tell better than the round head where the middle of this side is.
    points[:, 1, 0] = (points[:, 1, 0] + 1.6 * own[:, _ALA] - 0.6 * middle[1]) / 2
    points[:, 2, 0] = (points[:, 2, 0] + own[:, _CORNER]) / 2
    points[:, 3, :2] = own[:, _CHIN]
    outwards = points[:, 3] - axes.mouth
    points[:, 3] += past_jaw * outwards / np.maximum(np.abs(outwards), 1e-6)
    lids = axes.along(own[:, _LIDS])
    # Rows: the upper edge, then the next, of which the outermost column tells nothing.
    upper, below = axes.along(points[:, :2]).swapaxes(0, 1)
    here = upper.copy()
    here[:, :2] = cheek * below[:, :2] + (1 - cheek) * lids[:, :2]
    points[:, 0] += (np.maximum(here, lids + LID_GAP * axes.unit) - upper) * axes.down
    return points


def _seen_fractions(edge_deg: FloatArray, yaw_away: FloatArray) -> FloatArray:
    """Return where the columns beside the middle are seen, from the middle line at 0 to the silhouette at 1.

    Args:
        edge_deg: (B,) angle of the side edge around the head, from the nose, 0 to `JAW_DEG`.
        yaw_away: (S, B) how far the head is turned to either side, radians; negative shows more of that side.

    Returns:
        (3, S, B) of the columns of `COLUMN_SHARES`.
    """
    angles = np.radians(np.multiply.outer((*COLUMN_SHARES, 0.0), edge_deg))
    angles[3] = math.radians(JAW_DEG)
    sines = np.sin(np.minimum(angles[:, None] + yaw_away, math.pi / 2))
    sines -= np.sin(yaw_away)
    fractions: FloatArray = sines[:3] / np.maximum(sines[3], 1e-3)
    return fractions
