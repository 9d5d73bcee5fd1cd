"""Loops as pixels: painted on to the skin, with the shadow that they throw on it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import ImageBgr
from workers.masks.light import Light
from workers.masks.loops import STEPS, Loop
from workers.masks.planes import blurred, in_color, wide
from workers.masks.raster import SHIFT
from workers.masks.shading import lit_color

Box = tuple[int, int, int, int]
# Elastic is about 3 mm wide, where the eyes are 63 mm apart.
WIDTH_PER_UNIT = 0.045
# How strongly each step is drawn: the last is behind the ear.
_FADING = 255 * np.clip(np.linspace(1.8, 0.1, STEPS - 1), 0, 1)
# What elastic sends back of what fabric in the open would, and how much of the skin behind shows through.
DULL, DENSE = 0.88, 0.92
# Part of the light that is missing beside a band, and how far its shadow falls, in widths of the band.
SHADE, FALL = 0.20, 0.9


def margin_px(unit: float, blur_px: float) -> int:
    """Return how far beyond its bands a loop and its shadow may change a pixel."""
    return math.ceil((0.5 + FALL) * WIDTH_PER_UNIT * unit + 3 * max(0.4, 0.6 * blur_px)) + 2


def tie_loop(
    canvas_bgr: ImageBgr,
    loop: Loop,
    color: npt.NDArray[np.float32],
    light: Light,
    unit: float,
    blur_px: float,
    limit: Box,
) -> tuple[Box, npt.NDArray[np.uint8]] | None:
    """Paint a loop and its shadow; return where, and the (h, w) uint8 cover; None where it is out of sight.

    Args:
        canvas_bgr: (H, W, 3) uint8, changed.
        loop: its bands.
        color: (3,) of the bands in white light.
        light: on the face.
        unit, blur_px: of the face and the photograph.
        limit: x1, y1, x2, y2 outside which nothing may change.
    """
    box = _box(loop, margin_px(unit, blur_px), limit)
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    cover = _draw(loop, unit, box)
    if not cover.any():
        return None
    share = blurred(cover * np.float32(DENSE / 255), max(0.4, 0.6 * blur_px))
    # Skin times what is left of its light, a little below the band, then the band over it.
    fall = max(1, round(FALL * WIDTH_PER_UNIT * unit))
    left = 1 - share
    left[fall:] *= 1 - np.float32(SHADE / DENSE) * share[:-fall]
    x1, y1, x2, y2 = box
    skin = canvas_bgr[y1:y2, x1:x2]
    mixed = np.asarray(cv2.multiply(skin, wide(left), dtype=cv2.CV_32F), np.float32)
    level = DULL * loop.lit
    mixed += in_color(share, [level * one for one in lit_color(color.tolist(), light)])
    skin[...] = cv2.convertScaleAbs(mixed)
    return box, np.asarray(cv2.convertScaleAbs(share, alpha=255), np.uint8)


def _draw(loop: Loop, unit: float, box: Box) -> npt.NDArray[np.uint8]:
    """Return the (h, w) uint8 cover of the bands in a box, sharp."""
    cover = np.zeros((box[3] - box[1], box[2] - box[0]), dtype=np.uint8)
    width = WIDTH_PER_UNIT * unit
    thickness = max(1, round(width))
    # A band thinner than a pixel is drawn a pixel wide and fainter; where hair or ear hide it, it fades out.
    levels = np.rint(min(1.0, width) * _FADING * loop.seen[:, 1:]).astype(int).tolist()
    fixed = np.rint((loop.bands - box[:2]) * (1 << SHIFT)).astype(int).tolist()
    for places, strengths in zip(fixed, levels, strict=True):
        for step in range(STEPS - 2, -1, -1):
            if strengths[step]:
                cv2.line(
                    cover, places[step], places[step + 1], strengths[step], thickness, cv2.LINE_AA, SHIFT
                )
    return cover


def _box(loop: Loop, margin: int, limit: Box) -> Box:
    """Return the pixels that a loop may change."""
    x, y = loop.bands.reshape(-1, 2).T.tolist()
    left, top, right, bottom = min(x), min(y), max(x), max(y)
    return (
        max(math.floor(left) - margin, limit[0]),
        max(math.floor(top) - margin, limit[1]),
        min(math.ceil(right) + margin + 1, limit[2]),
        min(math.ceil(bottom) + margin + 1, limit[3]),
    )
