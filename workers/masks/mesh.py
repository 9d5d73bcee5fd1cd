"""The mask as a mesh of points over the face."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from common.arrays import FloatArray
from workers.masks.frame import FaceFrame
from workers.masks.shapes import CUTS, Cut
from workers.masks.spec import MaskSpec
from workers.masks.splines import spline_matrix

# Control columns from the image-left edge to the image-right one, and rows from the upper edge to the lower:
# bridge of the nose, tip, mouth, chin; v grows with the length of the fabric, which climbs the nose.
U_KNOTS = (-1.0, -0.7, -0.35, 0.0, 0.35, 0.7, 1.0)
V_KNOTS = (0.0, 0.27, 0.60, 1.0)
# Grid lines of the mesh: twice as many change a 160-px mask by 0.7 levels on average, 15 x 9 by 1.1.
COLUMNS, ROWS = 19, 11
# Where the ends of the jaw line, landmarks 0 and 16, lie around the head, from the nose.
JAW_DEG = 84.0
# Least distance of the side edges from nostril and corner of the mouth, in units.
RIM_GAP = 0.06
# The jaw's numbers under the control columns of the lower edge; the outermost come from the cut.
CHIN_JAW = (5.5, 6.9)


@dataclass(frozen=True, slots=True)
class Mesh:
    """A grid of R x C vertices over the face; rows run down the face, columns from image-left to image-right.

    Attributes:
        points: (R, C, 2) x, y in pixels.
        depth: (R, C) towards the camera, in units of half the head's width; only its order counts.
        normals: (R, C, 3) unit vectors along the face's `right`, its `down`, and towards the camera.
    """

    points: FloatArray
    depth: FloatArray
    normals: FloatArray

    @property
    def corners(self) -> FloatArray:
        """(4, 2): upper left, lower left, upper right, lower right."""
        corners: FloatArray = self.points[[0, -1, 0, -1], [0, 0, -1, -1]]
        return corners


def lay_mesh(landmarks: FloatArray, frame: FaceFrame, spec: MaskSpec) -> Mesh:
    """Return the mesh of a mask on a face.

    Args:
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame: the same face's axes.
        spec: its type gives the cut; offset and rotation move it on the face.
    """
    cut = CUTS[spec.mask_type]
    control = _control_points(landmarks, frame, cut)
    control = _placed(control, frame, spec)
    across, down = spline_matrix(U_KNOTS, COLUMNS), spline_matrix(V_KNOTS, ROWS)
    points = np.einsum("rk,klx,cl->rcx", down, control, across)
    surface, normals = _round_mask(cut)
    cos, sin = np.cos(frame.yaw), np.sin(frame.yaw)
    turn = np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])
    return Mesh(points, surface @ turn[:, 2], normals @ turn)


def _control_points(landmarks: FloatArray, frame: FaceFrame, cut: Cut) -> FloatArray:
    """Return the (4, 7, 2) control points at `V_KNOTS` x `U_KNOTS`."""
    # A face that looks sideways shows how far the fabric stands off its nose.
    forward = np.sin(frame.yaw) * frame.right * frame.unit * cut.bulge
    bridge = landmarks[27] + cut.bridge * (landmarks[30] - landmarks[27])
    lips = landmarks[[51, 57, 62, 66]].mean(axis=0)
    chin = landmarks[8] + cut.overhang * frame.unit * _direction(landmarks[8] - lips)
    control = np.empty((4, 7, 2))
    control[:, 3] = bridge + 0.3 * forward, landmarks[30] + forward, lips + forward, chin
    for side, jaw, eye, ala, corner in (
        (-1, landmarks[:17], landmarks[[41, 40]], landmarks[31], landmarks[48]),
        (1, landmarks[16::-1], landmarks[[46, 47]], landmarks[35], landmarks[54]),
    ):
        columns = [2, 1, 0] if side < 0 else [4, 5, 6]
        control[:, columns] = _side(control[:, 3], jaw, eye, ala, corner, frame, cut, side)
    return control


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
    # On turned faces the far jaw line is often found too far inside: the mouth's corner lies within the mask.
    within = max(side * frame.across(corner), side * frame.across(ala)) + RIM_GAP * frame.unit
    rim = rim + side * np.maximum(within - side * frame.across(rim), 0)[:, None] * frame.right
    # The mask lies on a round head: angles from the nose become fractions of the way to the silhouette.
    near, middle, edge = (
        _seen_fraction(share * cut.edge_deg, side * frame.yaw) for share in (0.35, 0.7, 1.0)
    )
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
    for column, lid in ((0, eye[1]), (1, eye[0])):
        drop = cut.cheek * frame.along(points[1, column]) + (1 - cut.cheek) * frame.along(lid)
        points[0, column] += (drop - frame.along(points[0, column])) * frame.down
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


def _placed(control: FloatArray, frame: FaceFrame, spec: MaskSpec) -> FloatArray:
    """Return the control points moved down and turned about the mask's middle."""
    centre = (control[1, 3] + control[2, 3]) / 2
    angle = np.radians(spec.rotation_deg)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    placed: FloatArray = (control - centre) @ turn + centre + spec.y_offset * frame.height * frame.down
    return placed


@lru_cache(maxsize=8)
def _round_mask(cut: Cut) -> tuple[FloatArray, FloatArray]:
    """Return (R, C, 3) points and normals of a half-round mask with a ridge over nose and mouth."""
    angle = np.radians(cut.edge_deg) * np.linspace(-1, 1, COLUMNS)[None, :]
    v = np.linspace(0, 1, ROWS)[:, None]
    # The ridge is highest at the nose tip and falls to bridge and chin.
    ridge = (0.16 + cut.bulge) * np.exp(-((angle / 0.42) ** 2)) * np.sin(np.pi * v**0.75)
    radius = 1 + ridge - 0.25 * (v - 0.4) ** 2
    x, y, z = radius * np.sin(angle), 1.3 * v + np.zeros_like(angle), radius * np.cos(angle)
    surface = np.stack([x, y, z], axis=-1)
    normals = np.cross(np.gradient(surface, axis=1), np.gradient(surface, axis=0))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return surface, normals


def _direction(vector: FloatArray) -> FloatArray:
    """Return the unit vector along (2,); a vector without length gives zeros."""
    direction: FloatArray = vector / max(float(np.hypot(*vector)), 1e-9)
    return direction
