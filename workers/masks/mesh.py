"""Masks as meshes of points over faces, those of a picture in one go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.anchors import U_KNOTS, V_KNOTS, control_points
from workers.masks.frame import FaceFrame
from workers.masks.pose import Pose
from workers.masks.shapes import fitted_cut
from workers.masks.spec import MaskSpec
from workers.masks.splines import spline_matrix
from workers.masks.surface import worn_surface
from workers.masks.triangles import inverse_affines

# Columns and rows of the mesh's grid, up to a distance between the eyes in pixels. More change a mask by less
# than a level on average.
GRIDS = ((30.0, (9, 5)), (90.0, (13, 7)), (math.inf, (17, 9)))


@dataclass(frozen=True, slots=True)
class Mesh:
    """A grid of R x C vertices over the face; rows run down the face, columns from image-left to image-right.

    Attributes:
        points: (R, C, 2) x, y in pixels.
        depth: (R, C) towards the camera, in units; only its order counts.
        areas: (R - 1, C - 1) twice the pixels that each cell shows; negative where it is seen from behind.
        is_folded: whether a part of it is seen from behind, so that another one may hide it.
        box: least x, least y, largest x and largest y of the vertices, pixels.
        affines: (3, T + 1) of `inverse_affines`.
        length: pixels from side to side along the middle.
    """

    points: FloatArray
    depth: FloatArray
    areas: FloatArray
    is_folded: bool
    box: tuple[float, float, float, float]
    affines: npt.NDArray[np.complex128]
    length: float


@dataclass(frozen=True, slots=True)
class Meshes:
    """The meshes of B masks, all of R x C vertices.

    Attributes:
        points: (B, R, C, 2) x, y in pixels.
        depth: (B, R, C) towards the camera, in units; only its order counts.
        normals: (B, 3, R, C) unit vectors along the face's `right`, its `down`, and towards the camera.
    """

    points: FloatArray
    depth: FloatArray
    normals: FloatArray

    def each(self) -> list[Mesh]:
        """Return the masks' meshes one by one."""
        places = self.points.view(np.complex128)[..., 0]
        areas = cross(places[:, 1:, 1:] - places[:, :-1, :-1], places[:, 1:, :-1] - places[:, :-1, 1:])
        folded = (areas.min(axis=(1, 2)) < 0).tolist()
        flat = self.points.reshape(len(places), -1, 2)
        boxes = np.concatenate([flat.min(axis=1), flat.max(axis=1)], axis=1).tolist()
        middle = places[:, places.shape[1] // 2]
        lengths = np.abs(middle[:, 1:] - middle[:, :-1]).sum(axis=1).tolist()
        affines = inverse_affines(self.points)
        return [
            Mesh(*parts)
            for parts in zip(
                *(self.points, self.depth, areas, folded, map(tuple, boxes), affines, lengths), strict=True
            )
        ]


def cross(across: npt.NDArray[np.complex128], down: npt.NDArray[np.complex128]) -> FloatArray:
    """Return the areas that pairs of ways x + yi span; positive where `down` lies clockwise of `across` as seen."""
    area: FloatArray = across.real * down.imag
    area -= across.imag * down.real
    return area


def grid_of(unit: float) -> tuple[int, int]:
    """Return columns and rows of the mesh on a face of this size, pixels between the eyes."""
    return next(grid for most, grid in GRIDS if unit <= most)


def lay_meshes(
    landmarks: FloatArray,
    frames: Sequence[FaceFrame],
    poses: Sequence[Pose],
    specs: Sequence[MaskSpec],
    grid: tuple[int, int],
) -> Meshes:
    """Return the meshes of masks on B faces.

    Args:
        landmarks: (B, 68, 2) x, y in pixels, iBUG order.
        frames, poses: the same faces' axes and turns.
        specs: their types give the cuts; offset and rotation move them on the face.
        grid: columns and rows.
    """
    columns, rows = grid
    cuts = [fitted_cut(spec.mask_type, spec.pattern, spec.tightness) for spec in specs]
    wears = [spec.wear for spec in specs]
    control = _placed(control_points(landmarks, frames, cuts, wears), frames, specs)
    points = (_spread(columns, rows) @ control).reshape(-1, rows, columns, 2)
    worn = [
        worn_surface(cut, wear, U_KNOTS, V_KNOTS, columns, rows)
        for cut, wear in zip(cuts, wears, strict=True)
    ]
    turns = np.array([pose.turn() for pose in poses])
    depth = turns[:, 2:] @ np.array([surface for surface, _ in worn])
    normals = turns @ np.array([normals for _, normals in worn])
    return Meshes(points, depth.reshape(-1, rows, columns), normals.reshape(-1, 3, rows, columns))


@lru_cache(maxsize=4)
def _spread(columns: int, rows: int) -> FloatArray:
    """Return the (rows * columns, 28) matrix from the control points to the vertices: both splines at once."""
    matrix: FloatArray = np.kron(spline_matrix(V_KNOTS, rows), spline_matrix(U_KNOTS, columns))
    matrix.setflags(write=False)
    return matrix


def _placed(
    control: npt.NDArray[np.complex128], frames: Sequence[FaceFrame], specs: Sequence[MaskSpec]
) -> FloatArray:
    """Return (B, 28, 2) control points moved down and turned about each mask's middle; (B, 4, 7) x + yi."""
    turns, moves = [], []
    for frame, spec in zip(frames, specs, strict=True):
        angle = math.radians(spec.rotation_deg)
        turns.append(complex(math.cos(angle), math.sin(angle)))
        moves.append(spec.y_offset * frame.height * complex(*frame.down.tolist()))
    turn = np.array(turns)
    centre = (control[:, 1, 3] + control[:, 2, 3]) / 2
    # About the middle, as one product and one sum.
    placed = control.reshape(-1, 28) * turn[:, None]
    placed += (centre + moves - centre * turn)[:, None]
    points: FloatArray = placed.view(np.float64).reshape(-1, 28, 2)
    return points
