"""How masks of soft fabric are sewn: pleated, of woven cloth, knitted."""

from __future__ import annotations

import numpy as np

from workers.masks.sheet import Sheet

# The least pixels to a knitted stitch: fewer would show a moire instead of wool.
STITCH_PX = 5


def sew_pleated(sheet: Sheet) -> None:
    """Three folds that open over the nose and close at the sides, sealed edges, a wire over the nose."""
    rng, u, v = sheet.rng, sheet.u, sheet.v
    spread = 1 - 0.75 * u**2
    held = 0.55 + 0.45 * spread
    opened = np.float32(rng.uniform(0.7, 1.15))
    start = rng.uniform(0.23, 0.30)
    sway = 0.014 * sheet.noise(3, 5) - 0.02 * u**2 * (v < 0.5) + 0.02 * u**2 * (v >= 0.5)
    for place in (start, start + rng.uniform(0.16, 0.21), start + rng.uniform(0.34, 0.42)):
        # Below the fold's edge the fabric dives under: a sharp shadow, then a slow rise.
        below = v + sway - np.float32(place)
        depth = opened * np.float32(rng.uniform(0.6, 1.1))
        away = np.exp(np.abs(below) * np.float32(-24))
        tuck = (below > 0) * away * held
        sheet.height += depth * (2.4 * ((below <= 0) * away) * spread - 1.4 * tuck)
        sheet.gloss *= 1 - 0.17 * depth * tuck
    sheet.crumple(1.9, creased=True)
    sheet.crease_corners(1.4)
    border = sheet.border()
    sheet.seam(border - 0.055, 0.012, 0.9)
    sheet.gloss *= 1 - 0.05 * (border < 0.05)
    _seal_sides(sheet)
    sheet.bend_wire(0.05, 0.5)
    sheet.grain(1.0, 0.014)


def sew_cloth(sheet: Sheet) -> None:
    """Soft folds, a woven grain and a stitched hem; half of them have a seam down the middle."""
    if sheet.rng.random() < 0.5:
        ridge = np.abs(sheet.u) + 0.015 * np.clip(sheet.noise(4, 1), -1, 1)
        sheet.height -= 4.0 * np.sqrt(ridge**2 + 0.002)
        sheet.gloss *= 1 - 0.12 * np.exp(-((ridge / 0.012) ** 2))
    sheet.crumple(2.8, creased=True)
    sheet.height += 0.7 * sheet.noise(7, 9)
    sheet.crease_corners(2.2)
    _hem(sheet)
    sheet.grain(0.7, 0.03)


def sew_knitted(sheet: Sheet) -> None:
    """Wool: rows of stitches like the letter V, soft folds, a ribbed edge."""
    height, width = sheet.height.shape
    pitch = max(0.034, STITCH_PX / height, 1.6 * STITCH_PX / width)
    across = 0.8 * sheet.u / np.float32(pitch)
    leg = np.abs(across - np.floor(across) - 0.5)
    down = sheet.v / np.float32(0.8 * pitch) + 1.2 * leg
    stitch = np.sin(2 * np.pi * down) * np.float32(0.5) - np.cos(2 * np.pi * across) * np.float32(0.35)
    sheet.gloss *= 1 + 0.10 * stitch
    sheet.crumple(2.2)
    border = sheet.border()
    sheet.height += 1.2 * np.clip((0.07 - border) / 0.02, 0, 1)
    sheet.seam(border - 0.075, 0.016, 1.0)
    sheet.grain(0.8, 0.05)


def _hem(sheet: Sheet) -> None:
    """Fold the edge over and stitch it down."""
    border = sheet.border()
    sheet.height += 0.8 * np.clip((0.06 - border) / 0.01, 0, 1)
    sheet.stitch(border - 0.045, 0.16)
    sheet.seam(border - 0.065, 0.014, 1.0)


def _seal_sides(sheet: Sheet) -> None:
    """Bind the pleats at both sides under a strip with the dents of the sealing wheel."""
    side = 0.8 * (1 - np.abs(sheet.u))
    strip = np.clip((0.055 - side) / 0.01, 0, 1)
    dents = np.sin(sheet.v * np.float32(150)) > 0
    sheet.gloss *= 1 - strip * (0.03 + 0.05 * dents)
    sheet.height += 1.0 * strip
