"""How each type of mask is cut."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The cut of one type, relative to the face it is worn on; known by itself, so that what is kept of it is found fast.

    Attributes:
        edge_deg: angle around the head, from the nose, at which the side edges lie; the ears are near 84.
        jaw_top, jaw_bottom: where the side edge ends on the jaw, 0 the ear and 8 the chin.
        bridge: where the upper edge crosses the nose, from landmark 27 at 0 to the tip at 1.
        cheek: how far the upper edge drops below the eyes on the cheek, in parts of the way to the next row.
        bulge: how far the fabric stands off the nose tip and the lips, in units of the eye distance.
        overhang: how far it reaches past the jaw line, in the same units.
        roundness: 0 fabric stretched over the nose, 1 a cup as far out beside the nose as on it.
        ridge: 1 flat flanks that meet in a fold, 0 none.
    """

    edge_deg: float
    jaw_top: float
    jaw_bottom: float
    bridge: float
    cheek: float
    bulge: float
    overhang: float
    roundness: float
    ridge: float

    def fitted(self, tightness: float) -> Cut:
        """Return the cut as it fits: 0 loose, bulging and wide; 0.5 as it is; 1 drawn tight."""
        loose = 0.5 - tightness
        return replace(
            self,
            edge_deg=self.edge_deg + 4 * loose,
            bulge=self.bulge * (1 + 0.6 * loose),
            overhang=self.overhang + 0.03 * loose,
        )


# Angles and heights judged by eye on photographs of worn masks; a tied cup ends well before the ears.
CUTS: Final = MappingProxyType(
    {
        "surgical": Cut(66.0, 1.3, 4.0, 0.38, 0.62, 0.10, 0.06, 0.20, 0.0),
        "N95": Cut(55.0, 1.9, 4.1, 0.36, 0.66, 0.22, 0.07, 0.45, 0.0),
        "KN95": Cut(64.0, 1.5, 4.2, 0.34, 0.62, 0.24, 0.06, 0.0, 0.9),
        "cloth": Cut(68.0, 1.2, 4.3, 0.32, 0.58, 0.08, 0.08, 0.15, 0.2),
    }
)

# A duckbill stands off the mouth like a beak.
PATTERN_CUTS: Final = MappingProxyType({"duckbill": Cut(58.0, 1.8, 4.1, 0.36, 0.64, 0.34, 0.06, 0.55, 0.0)})


def cut_of(mask_type: str, pattern: str) -> Cut:
    """Return the cut of a pattern, most often that of its type."""
    return PATTERN_CUTS.get(pattern, CUTS[mask_type])


@lru_cache(maxsize=64)
def fitted_cut(mask_type: str, pattern: str, tightness: float) -> Cut:
    """Return the cut of a pattern as it fits, worked out once."""
    return cut_of(mask_type, pattern).fitted(tightness)
