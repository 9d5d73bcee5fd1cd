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
_Z = (
    (0.52, 0.24, -0.06, -0.50),
    (0.92, 0.55, 0.10, -0.48),
    (0.86, 0.60, 0.12, -0.45),
    (0.22, 0.12, -0.14, -0.48),
)
# The same for a mask under the nose and one under the chin; one that hangs is a strip a little bent.
_LOWERED_Y = {
    "nose-out": (
        (0.82, 0.86, 0.92, 0.95),
        (1.1, 1.1, 1.1, 1.1),
        (1.5, 1.46, 1.36, 1.25),
        (2.05, 1.95, 1.7, 1.5),
    ),
    "mouth-out": (
        (1.5, 1.46, 1.4, 1.3),
        (1.68, 1.62, 1.5, 1.4),
        (1.9, 1.84, 1.65, 1.5),
        (2.1, 2.05, 1.85, 1.65),
    ),
}
_LOWERED_Z = {
    "nose-out": (
        (0.62, 0.46, 0.06, -0.5),
        (0.74, 0.55, 0.1, -0.48),
        (0.62, 0.46, 0.05, -0.46),
        (0.1, 0.05, -0.2, -0.5),
    ),
    "mouth-out": (
        (0.48, 0.34, 0.0, -0.45),
        (0.56, 0.4, 0.03, -0.44),
        (0.42, 0.28, -0.05, -0.46),
        (0.0, -0.05, -0.25, -0.5),
    ),
}
# How far the cut's bulge pushes each control point out: the middle, and half of it beside.
_BULGE = ((0.2, 0.3, 0.0, 0.0), (1.0, 0.8, 0.2, 0.0), (1.1, 0.9, 0.2, 0.0), (0.3, 0.3, 0.1, 0.0))


@lru_cache(maxsize=128)
def worn_surface(
    cut: Cut, wear: str, u_knots: tuple[float, ...], v_knots: tuple[float, ...], columns: int, rows: int
) -> tuple[FloatArray, FloatArray]:
    """Return (3, R * C) points and unit normals of a mask on a straight head: right, down, to the viewer.

    Args:
        cut: how far it bulges, how sharp its ridge is, how far around the head it goes.
        wear: one of `common.kinds.WEARS`.
        u_knots, v_knots: of the 7 control columns and 4 control rows.
        columns, rows: C and R.
    """
    control = _hanging() if wear == "hanging" else _worn(cut, wear)
    points = np.einsum(
        "rk,klx,cl->rcx", spline_matrix(v_knots, rows), control, spline_matrix(u_knots, columns)
    )
    normals = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    flat = np.ascontiguousarray(points.reshape(-1, 3).T), np.ascontiguousarray(normals.reshape(-1, 3).T)
    for shared in flat:
        shared.setflags(write=False)
    return flat


def _worn(cut: Cut, wear: str) -> FloatArray:
    """Return the (4, 7, 3) control points of a mask before the face."""
    y, z = np.array(_LOWERED_Y.get(wear, _Y)), np.array(_LOWERED_Z.get(wear, _Z))
    width = np.sin(np.radians(cut.edge_deg)) / np.sin(np.radians(66.0))
    if wear == "correct":
        z += cut.bulge * np.array(_BULGE)
        # A fold makes flat flanks, a cup round ones.
        flat = np.minimum((2 * z[:, 0] + z[:, 2]) / 3, z[:, 1])
        z[1:3, 1] += (cut.roundness * (z[:, 0] - z[:, 1]) - cut.ridge * (z[:, 1] - flat))[1:3]
    half = np.stack([np.array(_X) * width, y, z], axis=-1)
    control: FloatArray = np.concatenate([half[:, :0:-1] * [-1, 1, 1], half], axis=1)
    return control


def _hanging() -> FloatArray:
    """Return the (4, 7, 3) control points of a strip that hangs: columns down, rows to the left."""
    down, left = np.linspace(0, 1.75, 7)[None, :], np.array([0.36, 0.12, -0.12, -0.36])[:, None]
    bent = 0.16 * np.cos(left / 0.36 * np.pi / 2) + 0.06 * np.sin(3 * down)
    return np.stack(np.broadcast_arrays(left, down, bent), axis=-1)
