"""A face as 68 points, made from arcs and lines: 160 pixels high, in the middle of a picture of 400."""

from __future__ import annotations

import numpy as np

from common.arrays import FloatArray

HALF = 200.0
"""The middle of the picture, x and y."""


def face_points() -> FloatArray:
    """(68, 2), pixels: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67."""
    turn = np.linspace(np.pi, 0, 17)
    jaw = np.column_stack([75 * np.cos(turn), 100 * np.sin(turn) - 10])
    left_brow = np.column_stack([np.linspace(-60, -14, 5), [-38, -50, -54, -52, -46]])
    nose = [[0, -30], [0, -15], [0, 0], [0, 12], [-12, 22], [-6, 25], [0, 27], [6, 25], [12, 22]]
    left_eye = [[-46, -26], [-39, -32], [-29, -32], [-21, -25], [-29, -22], [-39, -22]]
    mouth_turn = np.linspace(np.pi, -np.pi, 13)[:-1]
    outer = np.column_stack([28 * np.cos(mouth_turn), 52 - 10 * np.sin(mouth_turn)])
    inner_turn = np.linspace(np.pi, -np.pi, 9)[:-1]
    inner = np.column_stack([22 * np.cos(inner_turn), 52 - 4 * np.sin(inner_turn)])
    mirrored_brow = (left_brow * (-1, 1))[::-1]
    # The right eye starts at its inner corner, as seen in the image.
    right_eye = (np.array(left_eye) * (-1, 1))[[3, 2, 1, 0, 5, 4]]
    parts = [jaw, left_brow, mirrored_brow, nose, left_eye, right_eye, outer, inner]
    return np.concatenate([np.asarray(part, np.float64) for part in parts]) + HALF
