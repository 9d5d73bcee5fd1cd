"""The worn mask as a surface in space: what its normals say to the light."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from common.arrays import FloatArray
from workers.masks.shapes import Cut
from workers.masks.splines import spline_matrix

# The surface over the control rows (bridge, tip, mouth, under the chin) and the columns from the middle to
# one side, in parts of the distance between the pupils from the point between them: x outwards, y down,
# z towards the viewer. Fabric stretched over nose and chin: it runs straight from one to the other.
_X = ((0.0, 0.40, 0.84, 1.08), (0.0, 0.42, 0.86, 1.08), (0.0, 0.42, 0.84, 1.04), (0.0, 0.38, 0.72, 0.96))
_Y = ((0.26, 0.42, 0.50, 0.50), (0.58, 0.66, 0.74, 0.76), (1.12, 1.14, 1.12, 1.06), (1.92, 1.84, 1.62, 1.38))
_Z = ((0.52, 0.24, -0.06, -0.50), (0.92, 0.55, 0.10, -0.48), (0.86, 0.60, 0.12, -0.45), (0.22, 0.12, -0.14, -0.48))
# How far the cut's bulge pushes each control point out: the middle, and half of it beside.
_BULGE = ((0.2, 0.3, 0.0, 0.0), (1.0, 0.8, 0.2, 0.0), (1.1, 0.9, 0.2, 0.0), (0.3, 0.3, 0.1, 0.0))


@lru_cache(maxsize=32)
def worn_surface(
    cut: Cut, u_knots: tuple[float, ...], v_knots: tuple[float, ...], columns: int, rows: int
) -> tuple[FloatArray, FloatArray]:
    """Return (R, C, 3) points and unit normals of a mask on a straight head: right, down, to the viewer.

    Args:
        cut: how far it bulges, how sharp its ridge is, how far around the head it goes.
        u_knots, v_knots: of the 7 control columns and 4 control rows.
        columns, rows: C and R.
    """
    bulge, width = np.array(_BULGE), np.sin(np.radians(cut.edge_deg)) / np.sin(np.radians(66.0))
    z = np.array(_Z) + cut.bulge * bulge
    # A fold makes flat flanks, a cup round ones.
    flat = (2 * z[:, 0] + z[:, 2]) / 3
    z[1:3, 1] += cut.roundness * (z[1:3, 0] - z[1:3, 1]) - cut.ridge * (z[1:3, 1] - np.minimum(flat, z[:, 1])[1:3])
    half = np.stack([np.array(_X) * width, np.array(_Y), z], axis=-1)
    control = np.concatenate([half[:, :0:-1] * [-1, 1, 1], half], axis=1)
    points = np.einsum("rk,klx,cl->rcx", spline_matrix(v_knots, rows), control, spline_matrix(u_knots, columns))
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    for shared in (points, normals):
        shared.setflags(write=False)
    return points, normals
