"""Light from all sides as low-order spherical harmonics, fitted to the skin of a face."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.ranks import place_of

# Half axes of a head and how far its middle lies below and behind the eyes, in distances between the pupils.
HEAD_AXES = np.array([1.20, 1.80, 1.30])
HEAD_CENTRE = np.array([0.0, 0.62, -0.62])
# The ellipsoid's quadratic form on the head's own axes.
_FORM = HEAD_AXES**-2.0
# What holds each of the nine terms back, per sample: a face shows half a sphere, and of that a part.
_RIDGE = np.array([0.01, 0.003, 0.02, 0.02, 0.1, 0.1, 0.1, 0.1, 0.2])
# Light before any skin was looked at: most from where the camera stands, the rest from everywhere.
_PRIOR = np.array([0.62, 0.0, 0.0, 0.42, 0.0, 0.0, 0.0, 0.0, 0.0])
# Relative errors beyond this are no skin: hair, eyes, glints.
_BELIEVED = 0.15
# Values below the first rank or above the second are no skin.
_SKIN_RANKS = 0.12, 0.98
# Fewer pixels of skin tell nothing.
_LEAST_SAMPLES = 12


def terms(normals: FloatArray) -> FloatArray:
    """Return the nine terms of second-order spherical harmonics, unscaled, (…, 9), of (…, 3) unit normals.

    Ramamoorthi & Hanrahan, "An efficient representation for irradiance environment maps" (2001): nine terms
    hold 98 % of what a matt surface shows of any light.
    """
    n = normals.T
    # One term after the other in memory.
    every = np.empty((9, *n.shape[1:]))
    every[0], every[1:4] = 1, n
    every[4:6], every[6] = n[0] * n[1:], n[1] * n[2]
    squares = n * n
    every[7], every[8] = squares[0] - squares[1], 3 * squares[2] - 1
    return every.T


def head_normals(
    across: FloatArray, along: FloatArray, turns: FloatArray, counts: npt.NDArray[np.intp]
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return (N, 3) normals of head-like ellipsoids as seen at (N,) places, and (N,) whether they are there.

    Args:
        across, along: places from between the eyes, in distances between the pupils, head after head.
        turns: (B, 3, 3) from each head's axes to those of the face as seen.
        counts: (B,) how many of the places are each head's.
    """
    form = (turns * _FORM) @ turns.transpose(0, 2, 1)
    heads = np.concatenate([(turns @ HEAD_CENTRE)[:, :2], form.reshape(-1, 9)], axis=1)
    centre_x, centre_y, xx, xy, xz, _, yy, yz, _, _, zz = heads.T.repeat(counts, axis=1)
    x, y = across - centre_x, along - centre_y
    # The nearer root of form_zz z^2 + 2 b z + c = 0.
    b = xz * x
    b += yz * y
    c = xx * x
    c += (2 * xy) * y
    c *= x
    c += yy * y * y
    c -= 1
    c *= zz
    inside = b * b
    inside -= c
    z = np.sqrt(np.maximum(inside, 0))
    z -= b
    z /= zz
    normals = np.empty((3, across.size))
    for normal, (by_x, by_y, by_z) in zip(normals, ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz)), strict=True):
        np.multiply(by_x, x, out=normal)
        normal += by_y * y
        normal += by_z * z
    squared = normals[0] * normals[0]
    squared += normals[1] * normals[1]
    squared += normals[2] * normals[2]
    normals /= np.sqrt(np.maximum(squared, 1e-18, out=squared), out=squared)
    return normals.T, inside > 0


def fit_terms(
    system: FloatArray, values: FloatArray, trust: FloatArray, ordered: Sequence[FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return the (B, 9) lights that give skin these brightnesses, 1 where it is typical, and what they give it.

    Args:
        system: (N, 9) `terms` of the normals, face after face.
        values: (N,) luminance over that of typical skin.
        trust: (N,) weights.
        ordered: the values of each face, at least one, sorted.

    Returns:
        Lights, and (N,) what they say the values are.
    """
    counts = [len(own) for own in ordered]
    ends = np.cumsum(counts).tolist()
    starts = [0, *ends[:-1]]
    # Eyes, brows, beard and glasses are dark, teeth and glints bright: neither tells of the light.
    least, most = np.array(
        [[own.item(place_of(share, len(own))) for own in ordered] for share in _SKIN_RANKS]
    ).repeat(counts, axis=1)
    keep = (values > least) & (values < most)
    # What is not believed has no weight: cheaper than to copy the rest.
    weight = trust * keep
    ridge = np.multiply.outer(np.add.reduceat(weight, starts), _RIDGE)
    enough = (np.add.reduceat(keep, starts, dtype=np.intp) >= _LEAST_SAMPLES).tolist()
    faces = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    # A face's rows lie together as if it were alone: the last bits of a product may depend on that.
    system = np.ascontiguousarray(system)
    fits, fitted = np.empty((len(faces), 9)), np.empty(len(values))
    fits[...] = _PRIOR
    grams = np.empty((len(faces), 9, 9))
    for is_first in (True, False):
        believed = weight
        if not is_first:
            error = fitted - values
            error *= 1 / _BELIEVED
            error *= error
            error += 1
            believed = np.divide(weight, error, out=error)
        weighted = system * believed[:, None]
        right = ridge * _PRIOR
        for face, here in enumerate(faces):
            own = weighted[here].T
            np.matmul(own, system[here], out=grams[face])
            right[face] += own @ values[here]
        grams.reshape(-1, 81)[:, ::10] += ridge
        for face, here in enumerate(faces):
            # Faces of a few pixels keep what was there before any skin was looked at.
            if enough[face]:
                # Symmetric and positive: a fifth of the time of `np.linalg.solve`.
                _, solved = cv2.solve(grams[face], right[face, :, None], flags=cv2.DECOMP_CHOLESKY)
                fits[face] = solved[:, 0]
            np.matmul(system[here], fits[face], out=fitted[here])
    return fits, fitted
