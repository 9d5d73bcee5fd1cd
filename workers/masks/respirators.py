"""How respirators are made: moulded cups with and without a valve, duckbills, folded ones."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from workers.masks.sheet import Field, Sheet, axes

METAL_BGR = np.array([178, 176, 172], np.float32)
VALVE_BGR = np.array([206, 206, 204], np.float32)


def finish_cup(sheet: Sheet) -> None:
    """A moulded cup with a pressed rim and a metal clip."""
    border = sheet.border()
    rim = np.exp(-(((border - 0.075) / 0.03) ** 2))
    sheet.height += 5.0 * np.clip(border / 0.22, 0, 1) ** 0.7 - 1.8 * rim
    sheet.gloss *= 1 - 0.08 * rim
    sheet.bend_wire(0.12, 0.38)


def sew_cup(sheet: Sheet) -> None:
    """What differs from cup to cup: some moulds press a ring into it; a clip of metal over the nose."""
    if sheet.rng.random() < 0.6:
        ring = np.sqrt((0.8 * sheet.u) ** 2 + (1.15 * (sheet.v - 0.5)) ** 2)
        sheet.seam(ring - np.float32(sheet.rng.uniform(0.26, 0.36)), 0.016, 1.0)
    sheet.wear_in(0.7)
    sheet.trims.append((_clip(sheet.size_wh), METAL_BGR))
    sheet.grain(0.8, 0.022)


@lru_cache(maxsize=32)
def _clip(size_wh: tuple[int, int]) -> Field:
    """Return the (h, w) share of metal in the surface."""
    u, v = axes(size_wh)
    clip: Field = 0.45 * np.exp(-(((v - 0.12) / 0.022) ** 4)) * np.exp(-((u / 0.36) ** 8))
    clip.setflags(write=False)
    return clip


def sew_valve(sheet: Sheet) -> None:
    """The cup with a valve on one cheek: round or square, with slits."""
    sew_cup(sheet)
    side = 0.34 if sheet.rng.random() < 0.5 else -0.34
    across, down = (sheet.u - np.float32(side)) * 0.8, sheet.v - 0.56
    if sheet.rng.random() < 0.6:
        radius = np.sqrt(across * across + down * down) / 0.15
    else:
        radius = (np.abs(across) ** 5 + np.abs(down) ** 5) ** np.float32(0.2) / 0.15
    disc = np.clip((1.06 - radius) / 0.12, 0, 1)
    sheet.trims.append((disc * np.float32(0.25 + 0.75 * sheet.rng.random()), VALVE_BGR))
    sheet.height += 4.5 * disc + 1.2 * np.exp(-(((radius - 0.72) / 0.12) ** 2))
    slits = (np.sin((sheet.v - 0.56) * 100) > 0.45) & (radius < 0.55)
    sheet.gloss *= 1 - 0.28 * slits - 0.22 * np.exp(-(((radius - 1.10) / 0.10) ** 2))


def finish_duckbill(sheet: Sheet) -> None:
    """Welded edges and a wire."""
    sheet.seam(sheet.border() - 0.05, 0.012, 1.0)
    sheet.bend_wire(0.09, 0.4)


def sew_duckbill(sheet: Sheet) -> None:
    """Two panels that meet before the mouth in a straight fold across."""
    fold = np.float32(sheet.rng.uniform(0.50, 0.58))
    reach = 1 - 0.65 * sheet.u**2
    away: Field = sheet.v - fold + np.float32(0.01) * sheet.noise(1, 4, (sheet.size_wh[0], 1))
    sheet.height -= 30.0 * np.sqrt(away**2 + 0.0008) * reach
    sheet.seam(away - np.float32(0.025), 0.012, 0.8)
    sheet.gloss *= 1 - 0.10 * np.clip(away / 0.08, 0, 1) * np.exp(-away.clip(0) / 0.25)
    sheet.wear_in(1.4, corners=1.0)
    sheet.grain(1.0, 0.014)


def finish_folded(sheet: Sheet) -> None:
    """Welded and stitched edges, a wire, the light on both sides of the fold."""
    sheet.gloss *= 1 - 0.10 * np.exp(-(((np.abs(sheet.u) - 0.035) / 0.022) ** 2))
    sheet.gloss *= 1 + 0.06 * np.exp(-((sheet.u / 0.018) ** 2))
    border = sheet.border()
    sheet.seam(border - 0.05, 0.011, 1.1)
    sheet.stitch(border - 0.075, 0.10)
    sheet.bend_wire(0.10, 0.34)


def sew_folded(sheet: Sheet) -> None:
    """Two panels that meet in a fold down the middle."""
    ridge = np.abs(sheet.u) + 0.02 * np.clip(sheet.noise(4, 1, (1, sheet.size_wh[1])), -1, 1)
    sheet.height -= 9.0 * np.sqrt(ridge**2 + 0.0015)
    sheet.wear_in(1.5, corners=1.1)
    if sheet.rng.random() < 0.6:
        _emboss(sheet)
    sheet.grain(1.0, 0.014)


def _emboss(sheet: Sheet) -> None:
    """Press the standard's name into one flank, as makers do."""
    height, width = sheet.height.shape
    stamp = np.zeros((height, width), np.uint8)
    # A plain vector font of OpenCV, about a fourteenth of the mask high.
    size = 0.07 * height / 21
    place = (int(width * (0.60 if sheet.rng.random() < 0.5 else 0.16)), int(0.62 * height))
    cv2.putText(stamp, "KN95", place, cv2.FONT_HERSHEY_SIMPLEX, size, 255, max(1, round(size)), cv2.LINE_AA)
    pressed = stamp.astype(np.float32) / np.float32(255)
    sheet.gloss *= 1 - 0.10 * pressed
