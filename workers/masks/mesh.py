"""The mask as a mesh of points over the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.arrays import FloatArray
from workers.masks.anchors import U_KNOTS, V_KNOTS, control_points
from workers.masks.frame import FaceFrame
from workers.masks.pose import Pose
from workers.masks.shapes import cut_of
from workers.masks.spec import MaskSpec
from workers.masks.splines import spline_matrix
from workers.masks.surface import worn_surface

# Grid lines of the mesh: more change a 160-px mask by less than a level on average.
COLUMNS, ROWS = 17, 9


@dataclass(frozen=True, slots=True)
class Mesh:
    """A grid of R x C vertices over the face; rows run down the face, columns from image-left to image-right.

    Attributes:
        points: (R, C, 2) x, y in pixels.
        depth: (R, C) towards the camera, in units; only its order counts.
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


def lay_mesh(landmarks: FloatArray, frame: FaceFrame, pose: Pose, spec: MaskSpec) -> Mesh:
    """Return the mesh of a mask on a face.

    Args:
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame, pose: the same face's axes and turn.
        spec: its type gives the cut; offset and rotation move it on the face.
    """
    cut = cut_of(spec.mask_type, spec.pattern).fitted(spec.tightness)
    control = control_points(landmarks, frame, cut, spec.wear)
    control = _placed(control, frame, spec)
    across, down = spline_matrix(U_KNOTS, COLUMNS), spline_matrix(V_KNOTS, ROWS)
    points = np.einsum("rk,klx,cl->rcx", down, control, across)
    surface, normals = worn_surface(cut, spec.wear, U_KNOTS, V_KNOTS, COLUMNS, ROWS)
    turn = pose.turn()
    return Mesh(points, surface @ turn[2], normals @ turn.T)


def _placed(control: FloatArray, frame: FaceFrame, spec: MaskSpec) -> FloatArray:
    """Return the control points moved down and turned about the mask's middle."""
    centre = (control[1, 3] + control[2, 3]) / 2
    angle = np.radians(spec.rotation_deg)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    placed: FloatArray = (control - centre) @ turn + centre + spec.y_offset * frame.height * frame.down
    return placed
