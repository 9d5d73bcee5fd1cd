"""Light from all sides as low-order spherical harmonics, fitted to the skin of a face."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.ranks import rank

# Half axes of a head and how far its middle lies below and behind the eyes, in distances between the pupils.
HEAD_AXES = np.array([1.20, 1.80, 1.30])
HEAD_CENTRE = np.array([0.0, 0.62, -0.62])
# What holds each of the nine terms back, per sample: a face shows half a sphere, and of that a part.
_RIDGE = np.array([0.01, 0.003, 0.02, 0.02, 0.1, 0.1, 0.1, 0.1, 0.2])
# Light before any skin was looked at: most from where the camera stands, the rest from everywhere.
_PRIOR = np.array([0.62, 0.0, 0.0, 0.42, 0.0, 0.0, 0.0, 0.0, 0.0])
# Relative errors beyond this are no skin: hair, eyes, glints.
_BELIEVED = 0.15


def terms(normals: FloatArray) -> FloatArray:
    """Return the nine terms of second-order spherical harmonics, unscaled, (…, 9), of (…, 3) unit normals.

    Ramamoorthi & Hanrahan, "An efficient representation for irradiance environment maps" (2001): nine terms
    hold 98 % of what a matt surface shows of any light.
    """
    x, y, z = normals[..., 0], normals[..., 1], normals[..., 2]
    every = np.empty((*x.shape, 9))
    every[..., 0] = 1
    every[..., 1:4] = normals
    every[..., 4], every[..., 5], every[..., 6] = x * y, x * z, y * z
    every[..., 7], every[..., 8] = x * x - y * y, 3 * z * z - 1
    return every


def head_normals(
    across: FloatArray, along: FloatArray, turn: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return (N, 3) normals of a head-like ellipsoid as seen at (N,) places, and (N,) whether it is there.

    Args:
        across, along: places from between the eyes, in distances between the pupils.
        turn: (3, 3) from the head's axes to those of the face as seen.
    """
    centre = turn @ HEAD_CENTRE
    form = turn @ np.diag(HEAD_AXES**-2.0) @ turn.T
    x, y = across - centre[0], along - centre[1]
    # The nearer root of form_zz z^2 + 2 b z + c = 0.
    b = form[0, 2] * x + form[1, 2] * y
    c = form[0, 0] * x * x + 2 * form[0, 1] * x * y + form[1, 1] * y * y - 1
    inside = b * b - form[2, 2] * c
    z = (-b + np.sqrt(np.maximum(inside, 0))) / form[2, 2]
    normals = form @ np.array([x, y, z])
    normals /= np.maximum(np.sqrt((normals * normals).sum(axis=0)), 1e-9)
    return normals.T, inside > 0


def fit_light(normals: FloatArray, values: FloatArray, trust: FloatArray) -> FloatArray:
    """Return the (9,) light that gives skin with these normals these brightnesses, 1 where it is typical.

    Args:
        normals: (N, 3) unit vectors.
        values: (N,) luminance over that of typical skin.
        trust: (N,) weights.
    """
    # Eyes, brows, beard and glasses are dark, teeth and glints bright: neither tells of the light.
    keep = (values > rank(values, 0.12)) & (values < rank(values, 0.98)) if len(values) else values > 0
    if np.count_nonzero(keep) < 12:
        return _PRIOR.copy()
    system, wanted, weight = terms(normals[keep]), values[keep], trust[keep]
    ridge = np.diag(_RIDGE * float(weight.sum()))
    fit, believed = _PRIOR, weight
    for _ in range(2):
        weighted = system.T * believed
        # Symmetric and positive: a fifth of the time of `np.linalg.solve`.
        right = weighted @ wanted + ridge @ _PRIOR
        _, solved = cv2.solve(weighted @ system + ridge, right[:, None], flags=cv2.DECOMP_CHOLESKY)
        fit = np.asarray(solved, np.float64)[:, 0]
        believed = weight / (1 + ((system @ fit - wanted) / _BELIEVED) ** 2)
    return fit
