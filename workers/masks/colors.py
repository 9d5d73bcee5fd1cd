"""Colours of fabrics."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from common.colors import hex_to_rgb

# Pure white cloth sends back about this part of the light; the rest of the range is left to highlights.
WHITEST = 244.0


@lru_cache(maxsize=64)
def bgr_of(color: str) -> npt.NDArray[np.float32]:
    """Return (3,) float32 blue, green, red from `#rrggbb`."""
    red, green, blue = hex_to_rgb(color)
    own = np.array([blue, green, red], dtype=np.float32)
    own.setflags(write=False)
    return own


def second_color(base: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return a lighter partner of a dark colour, a darker one of a light colour."""
    light = float(base @ np.array([0.114, 0.587, 0.299], np.float32)) > 150
    partner: npt.NDArray[np.float32] = 0.62 * base if light else base + 0.75 * (WHITEST - base)
    return partner
