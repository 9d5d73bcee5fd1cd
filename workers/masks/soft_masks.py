"""How masks of soft fabric are sewn: pleated, of woven cloth, knitted."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from workers.masks.sheet import Field, Sheet, axes

# The least pixels to a knitted stitch: fewer would show a moire instead of wool.
STITCH_PX = 5
# The profile of the pleats is looked up in a table over this part of the sheet's height.
_TABLE = np.linspace(-0.12, 1.12, 1024, dtype=np.float32)


def finish_pleated(sheet: Sheet) -> None:
    """Sealed edges and a wire over the nose."""
    border = sheet.border()
    sheet.seam(border - 0.055, 0.012, 0.9)
    sheet.gloss *= 1 - 0.05 * (border < 0.05)
    _seal_sides(sheet)
    sheet.bend_wire(0.05, 0.5)


def sew_pleated(sheet: Sheet) -> None:
    """Three folds that open over the nose and close at the sides."""
    rng = sheet.rng
    opened, start = rng.uniform(0.7, 1.15), rng.uniform(0.23, 0.30)
    places = (start, start + rng.uniform(0.16, 0.21), start + rng.uniform(0.34, 0.42))
    rise, tuck = np.zeros_like(_TABLE), np.zeros_like(_TABLE)
    for place, depth in zip(places, (opened * rng.uniform(0.6, 1.1, 3)).tolist(), strict=True):
        # Below the fold's edge the fabric dives under: a sharp shadow, then a slow rise.
        below = _TABLE - np.float32(place)
        away = np.exp(np.abs(below) * np.float32(-24)) * np.float32(depth)
        rise += np.where(below <= 0, away, 0)
        tuck += np.where(below > 0, away, 0)
    down, open_share, held = _pleat_bed(sheet.size_wh)
    at = down + np.float32(0.014 * len(_TABLE) / (_TABLE[-1] - _TABLE[0])) * sheet.noise(3, 5)
    profile = cv2.remap(cv2.merge([rise, tuck]).reshape(1, -1, 2), at, np.zeros_like(at), cv2.INTER_LINEAR)
    risen, tucked = cv2.split(profile)
    tucked *= held
    sheet.height += np.float32(2.4) * (risen * open_share) - np.float32(1.4) * tucked
    sheet.gloss *= 1 - np.float32(0.17) * tucked
    sheet.wear_in(2.2, creased=0.5, corners=1.8, fine=0.4)
    sheet.grain(1.0, 0.014)


@lru_cache(maxsize=32)
def _pleat_bed(size_wh: tuple[int, int]) -> tuple[Field, Field, Field]:
    """Return (h, w) places in the pleats' table, and how far folds open and how far they are held there."""
    u, v = axes(size_wh)
    # Held at both sides, the folds bow towards the middle of the mask.
    down = v - 0.02 * u**2 * (v < 0.5) + 0.02 * u**2 * (v >= 0.5)
    at = (down - _TABLE[0]) * np.float32((len(_TABLE) - 1) / (_TABLE[-1] - _TABLE[0]))
    spread = np.broadcast_to(1 - 0.75 * u**2, at.shape).astype(np.float32)
    bed = at.astype(np.float32), spread, (0.55 + 0.45 * spread).astype(np.float32)
    for field in bed:
        field.setflags(write=False)
    return bed


def finish_cloth(sheet: Sheet) -> None:
    """A hem: the edge folded over and stitched down."""
    border = sheet.border()
    sheet.height += 0.8 * np.clip((0.06 - border) / 0.01, 0, 1)
    sheet.stitch(border - 0.045, 0.16)
    sheet.seam(border - 0.065, 0.014, 1.0)


def sew_cloth(sheet: Sheet) -> None:
    """Soft folds and a woven grain; half of them have a seam down the middle."""
    if sheet.rng.random() < 0.5:
        ridge = np.abs(sheet.u) + 0.015 * np.clip(sheet.noise(4, 1, (1, sheet.size_wh[1])), -1, 1)
        squared = ridge * ridge
        sheet.height -= 4.0 * np.sqrt(squared + np.float32(0.002))
        sheet.gloss *= 1 - np.float32(0.12) * np.exp(squared * np.float32(-1 / 0.012**2))
    sheet.wear_in(3.4, creased=0.7, corners=2.6, fine=0.9)
    sheet.grain(0.7, 0.03)


def finish_knitted(sheet: Sheet) -> None:
    """Rows of stitches like the letter V, a ribbed edge."""
    width, height = sheet.size_wh
    pitch = max(0.034, STITCH_PX / height, 1.6 * STITCH_PX / width)
    across = 0.8 * sheet.u / np.float32(pitch)
    leg = np.abs(across - np.floor(across) - 0.5)
    down = sheet.v / np.float32(0.8 * pitch) + 1.2 * leg
    stitch: npt.NDArray[np.float32] = np.sin(2 * np.pi * down) * np.float32(0.5) - np.cos(
        2 * np.pi * across
    ) * np.float32(0.35)
    sheet.gloss *= 1 + 0.10 * stitch
    border = sheet.border()
    sheet.height += 1.2 * np.clip((0.07 - border) / 0.02, 0, 1)
    sheet.seam(border - 0.075, 0.016, 1.0)


def sew_knitted(sheet: Sheet) -> None:
    """Wool in soft folds."""
    sheet.wear_in(2.2)
    sheet.grain(0.8, 0.05)


def _seal_sides(sheet: Sheet) -> None:
    """Bind the pleats at both sides under a strip with the dents of the sealing wheel."""
    side = 0.8 * (1 - np.abs(sheet.u))
    strip = np.clip((0.055 - side) / 0.01, 0, 1)
    dents = np.sin(sheet.v * np.float32(150)) > 0
    sheet.gloss *= 1 - strip * (0.03 + 0.05 * dents)
    sheet.height += 1.0 * strip
