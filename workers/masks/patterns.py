"""What is printed on the fabric."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from workers.masks.spec import MaskSpec

Field = npt.NDArray[np.float32]
# Pure white cloth sends back about this part of the light; the rest of the range is left to highlights.
WHITEST = 244.0


def bgr_of(color: str) -> npt.NDArray[np.float32]:
    """Return (3,) float32 blue, green, red from `#rrggbb`."""
    red, green, blue = bytes.fromhex(color[1:])
    return np.array([blue, green, red], dtype=np.float32)


def paint_pattern(spec: MaskSpec, u: Field, v: Field, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the (h, w, 3) float32 colours of a fabric in white light, blue, green, red.

    Args:
        spec: its colour and pattern.
        u: (1, w) from -1 at the image-left edge to 1.
        v: (h, 1) from 0 at the upper edge to 1.
        rng: gives the pattern its place and pitch.
    """
    base = np.minimum(bgr_of(spec.color), WHITEST)
    print_share = _print_share(spec.pattern, u, v, rng)
    if print_share is None:
        return np.broadcast_to(base, (v.shape[0], u.shape[1], 3)).copy()
    printed: npt.NDArray[np.float32] = base + print_share[..., None] * (_second_color(base) - base)
    return printed


def _print_share(pattern: str, u: Field, v: Field, rng: np.random.Generator) -> Field | None:
    """Return (h, w) shares of the second colour, or None for a fabric in one colour."""
    if pattern not in ("striped", "checked", "dotted"):
        return None
    pitch = np.float32(rng.uniform(0.085, 0.12))
    start = np.float32(rng.uniform(0, 1))
    # The sheet is 1.6 times as wide as high.
    across, down = 0.8 * u / pitch + start, v / pitch + start
    share: Field
    if pattern == "striped":
        share = np.broadcast_to(_band(down), (v.shape[0], u.shape[1]))
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


def _second_color(base: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a lighter partner of a dark colour, a darker one of a light colour."""
    light = float(base @ np.array([0.114, 0.587, 0.299], np.float32)) > 150
    partner: npt.NDArray[np.float32] = 0.62 * base if light else base + 0.75 * (WHITEST - base)
    return partner
