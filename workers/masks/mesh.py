"""The mask as a mesh of points over the face."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from common.arrays import FloatArray
from workers.masks.anchors import U_KNOTS, V_KNOTS, control_points
from workers.masks.frame import FaceFrame
from workers.masks.pose import Pose
from workers.masks.shapes import fitted_cut
from workers.masks.spec import MaskSpec
from workers.masks.splines import spline_matrix
from workers.masks.surface import worn_surface

# Columns and rows of the mesh's grid, up to a distance between the eyes in pixels. More change a mask by less
# than a level on average.
GRIDS = ((30.0, (9, 5)), (90.0, (13, 7)), (math.inf, (17, 9)))


@dataclass(frozen=True)
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

    @cached_property
    def areas(self) -> FloatArray:
        """(R - 1, C - 1) twice the pixels that each cell shows; negative where it is seen from behind."""
        places = np.ascontiguousarray(self.points).view(np.complex128)[..., 0]
        across, down = places[1:, 1:] - places[:-1, :-1], places[1:, :-1] - places[:-1, 1:]
        areas: FloatArray = (across.conj() * down).imag
        return areas

    @cached_property
    def is_folded(self) -> bool:
        """Whether a part of it is seen from behind, so that another one may hide it."""
        return bool(self.areas.min() < 0)

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Least x, least y, largest x and largest y of the vertices, pixels."""
        points = self.points.reshape(-1, 2)
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return left, top, right, bottom

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
    cut = fitted_cut(spec.mask_type, spec.pattern, spec.tightness)
    columns, rows = next(grid for most, grid in GRIDS if frame.unit <= most)
    control = _placed(control_points(landmarks, frame, cut, spec.wear), frame, spec)
    points = (_spread(columns, rows) @ control.reshape(28, 2)).reshape(rows, columns, 2)
    surface, normals = worn_surface(cut, spec.wear, U_KNOTS, V_KNOTS, columns, rows)
    turn = pose.turn()
    return Mesh(points, surface @ turn[2], normals @ turn.T)


@lru_cache(maxsize=4)
def _spread(columns: int, rows: int) -> FloatArray:
    """Return the (rows * columns, 28) matrix from the control points to the vertices: both splines at once."""
    matrix: FloatArray = np.kron(spline_matrix(V_KNOTS, rows), spline_matrix(U_KNOTS, columns))
    matrix.setflags(write=False)
    return matrix


def _placed(control: FloatArray, frame: FaceFrame, spec: MaskSpec) -> FloatArray:
    """Return the control points moved down and turned about the mask's middle."""
    angle = math.radians(spec.rotation_deg)
    plain = np.ascontiguousarray(control).view(np.complex128)
    centre = (plain.item(1, 3, 0) + plain.item(2, 3, 0)) / 2
    moved = spec.y_offset * frame.height * complex(*frame.down.tolist())
    turn = complex(math.cos(angle), math.sin(angle))
    # About the middle, as one product and one sum.
    placed: FloatArray = (plain * turn + (centre + moved - centre * turn)).view(np.float64)
    return placed
