"""What is woven into the fabric or printed on it, line by line."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from workers.masks.colors import WHITEST, bgr_of, second_color
from workers.masks.planes import wide
from workers.masks.prints import PICTURES
from workers.masks.sheet import axes

Field = npt.NDArray[np.float32]
# What black cloth sends back in a photograph all the same, levels: fibres shine, lenses scatter.
LEAST_LIGHT = np.float32(7)
# Pixels of the fabric to a repeat of stripes, checks and dots at least: fewer would show a moire.
LEAST_PITCH_PX = 6.0
_WOVEN = ("striped", "checked", "dotted")


def is_printed(pattern: str) -> bool:
    """Whether a pattern has more than one colour."""
    return pattern in PICTURES or pattern in _WOVEN


def paint_pattern(
    pattern: str, color: str, size_wh: tuple[int, int], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return the (h, w, 3) float32 colours of a fabric in white light, blue, green, red; (1, 1, 3) if plain.

    Args:
        pattern: one of `common.kinds.PATTERNS`.
        color: of the fabric, `#rrggbb`.
        size_wh: pixels of the fabric, width and height.
        rng: gives the pattern its place and pitch.
    """
    base = _base(color)
    if pattern in PICTURES:
        return PICTURES[pattern](base, second_color(base), size_wh, rng)
    if pattern not in _WOVEN:
        return base.reshape(1, 1, 3)
    print_share = _print_share(pattern, *axes(size_wh), rng)
    return np.asarray(base + wide(print_share) * (second_color(base) - base), np.float32)


@lru_cache(maxsize=64)
def _base(color: str) -> npt.NDArray[np.float32]:
    """Return the (3,) blue, green, red of a fabric of this colour in white light."""
    lifted = LEAST_LIGHT + (1 - LEAST_LIGHT / 255) * bgr_of(color)
    base: npt.NDArray[np.float32] = np.minimum(lifted, WHITEST)
    base.setflags(write=False)
    return base


def _print_share(pattern: str, u: Field, v: Field, rng: np.random.Generator) -> Field:
    """Return (h, w) shares of the second colour; `u` and `v` as in `Sheet`."""
    # Never finer than a small picture can show.
    pitch = np.float32(max(rng.uniform(0.065, 0.13), LEAST_PITCH_PX / v.shape[0]))
    start = np.float32(rng.uniform(0, 1))
    # The sheet is 1.6 times as wide as high; it was cut a little askew, one in three across the stripes.
    askew = np.float32(rng.uniform(-0.12, 0.12) + (np.pi / 2 if rng.random() < 0.3 else 0.0))
    cos, sin = np.cos(askew), np.sin(askew)
    x, y = 0.8 * u / pitch, v / pitch
    across, down = cos * x - sin * y + start, sin * x + cos * y + start
    share: Field
    if pattern == "striped":
        share = _band(down)
    elif pattern == "checked":
        share = 0.5 * _band(across) + 0.5 * _band(down)
    else:
        row = np.floor(down)
        x, y = across + 0.5 * (row % 2), down
        radius = np.hypot(x - np.floor(x) - 0.5, y - row - 0.5)
        share = np.clip((0.27 - radius) / 0.1 + 0.5, 0, 1)
    return share


def _band(phase: Field) -> Field:
    """Return 0 and 1 by halves of the period, with soft edges."""
    band: Field = np.clip(2.5 * np.sin(2 * np.pi * phase) + 0.5, 0, 1)
    return band
