"""Where the mask touches the face: its control points, from the landmarks."""

from __future__ import annotations

import numpy as np

from common.arrays import FloatArray
from workers.masks.frame import FaceFrame
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
# The jaw's numbers under the control columns of the lower edge; the outermost come from the cut.
CHIN_JAW = (5.5, 6.9)


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
    control = np.empty((4, 7, 2))
    control[:, 3] = _middle(landmarks, frame, cut)
    for side, columns, jaw, eye, ala, corner in (
        (-1, [2, 1, 0], landmarks[:17], landmarks[[41, 40]], landmarks[31], landmarks[48]),
        (1, [4, 5, 6], landmarks[16::-1], landmarks[[46, 47]], landmarks[35], landmarks[54]),
    ):
        control[:, columns] = _side(control[:, 3], jaw, eye, ala, corner, frame, cut, side)
        # In a turned face the lips stand before the far cheek, and the fabric before them.
        gap = LIP_GAP - 0.4 * (1 - np.clip((side * frame.yaw - 0.2) / 0.4, 0, 1))
        least = float((side * frame.across(landmarks[48:60])).max()) + gap * frame.unit
        missing = max(0.0, least - float(side * frame.across(control[2, columns[0]])))
        control[2, columns[0]] += side * missing * frame.right
    return control


def _middle(landmarks: FloatArray, frame: FaceFrame, cut: Cut) -> FloatArray:
    """Return the (4, 2) control points over bridge, tip of the nose, lips and chin."""
    # A face that looks sideways shows how far the fabric stands off its nose.
    forward = np.sin(frame.yaw) * frame.right * frame.unit * cut.bulge
    # On a face that looks up the nose's root stands level with the eyes, and would hide the far one.
    root, tip = frame.along(landmarks[[27, 30]]).tolist()
    down_nose = (ROOT_GAP * frame.unit - root) / max(tip - root, 1e-6)
    bridge = landmarks[27] + np.clip(down_nose, cut.bridge, 0.75) * (landmarks[30] - landmarks[27])
    lips = landmarks[[51, 57, 62, 66]].mean(axis=0)
    chin = landmarks[8] + cut.overhang * frame.unit * _direction(landmarks[8] - lips)
    column = np.array([bridge + 0.3 * forward, landmarks[30] + forward, lips + forward, chin])
    # Fabric is stretched: seen from the side it runs straight from nose to chin where the lips lie behind.
    share = (V_KNOTS[2] - V_KNOTS[1]) / (V_KNOTS[3] - V_KNOTS[1])
    behind = column[1] + share * (column[3] - column[1]) - column[2]
    column[2] += np.sign(frame.yaw) * max(0.0, float(np.sign(frame.yaw) * behind @ frame.right)) * frame.right
    return column


def _side(
    centre: FloatArray,
    jaw: FloatArray,
    eye: FloatArray,
    ala: FloatArray,
    corner: FloatArray,
    frame: FaceFrame,
    cut: Cut,
    side: int,
) -> FloatArray:
    """Return (4, 3, 2) control points of one side, from the nose outwards.

    Args:
        centre: (4, 2) the middle column.
        jaw: (17, 2) from this side's ear over the chin to the other.
        eye: (2, 2) the lower lid's outer and inner point.
        ala, corner: (2,) this side's nostril and corner of the mouth.
        side: -1 image-left, 1 image-right.
    """
    numbers = np.interp(V_KNOTS, (V_KNOTS[0], V_KNOTS[-1]), (cut.jaw_top, cut.jaw_bottom))
    rim = _along_jaw(jaw, numbers)
    # The mask lies on a round head: angles from the nose become fractions of the way to the silhouette.
    near, middle, edge = (_seen_fraction(share * cut.edge_deg, side * frame.yaw) for share in COLUMN_SHARES)
    # Towards the jaw's angle the silhouette is the mask's own edge.
    inset = 1 - (1 - edge) * np.array([1.0, 0.9, 0.55, 0.2])
    points = np.empty((4, 3, 2))
    points[:, 2] = centre + inset[:, None] * (rim - centre)
    points[:, 1] = centre + middle * (rim - centre)
    points[:, 0] = centre + near * (rim - centre)
    # Nostril and mouth tell better than the round head where the middle of this side is.
    points[1, 0] = (points[1, 0] + centre[1] + 1.6 * (ala - centre[1])) / 2
    points[2, 0] = (points[2, 0] + corner) / 2
    points[3, :2] = _along_jaw(jaw, np.array(CHIN_JAW[::-1]))
    outwards = points[3] - frame.mouth
    points[3] += cut.overhang * frame.unit * outwards / np.maximum(np.hypot(*outwards.T), 1e-6)[:, None]
    lids = frame.along(eye)[[1, 0, 0]]
    drop = frame.along(points[0])
    drop[:2] = cut.cheek * frame.along(points[1, :2]) + (1 - cut.cheek) * lids[:2]
    drop = np.maximum(drop, lids + LID_GAP * frame.unit)
    points[0] += (drop - frame.along(points[0]))[:, None] * frame.down
    return points


def _seen_fraction(angle_deg: float, yaw_away: float) -> float:
    """Return where a point around the head is seen, from the middle line at 0 to the face's silhouette at 1.

    Args:
        angle_deg: the point's angle from the nose, 0 to `JAW_DEG`.
        yaw_away: how far the head is turned to the point's side, radians; negative shows more of that side.
    """
    silhouette = min(np.radians(JAW_DEG) + yaw_away, np.pi / 2)
    point = min(np.radians(angle_deg) + yaw_away, np.pi / 2)
    middle = np.sin(yaw_away)
    return float((np.sin(point) - middle) / max(np.sin(silhouette) - middle, 1e-3))


def _along_jaw(jaw: FloatArray, numbers: FloatArray) -> FloatArray:
    """Return (N, 2) points at fractional numbers on the (17, 2) jaw line."""
    low = np.minimum(numbers.astype(int), 15)
    share = (numbers - low)[:, None]
    points: FloatArray = (1 - share) * jaw[low] + share * jaw[low + 1]
    return points


def _direction(vector: FloatArray) -> FloatArray:
    """Return the unit vector along (2,); a vector without length gives zeros."""
    direction: FloatArray = vector / max(float(np.hypot(*vector)), 1e-9)
    return direction
