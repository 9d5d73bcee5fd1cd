"""The fabric of each pattern: colour and relief, drawn by arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.masks.patterns import paint_pattern
from workers.masks.respirators import sew_cup, sew_duckbill, sew_folded, sew_valve
from workers.masks.sheet import Field, Sheet
from workers.masks.soft_masks import sew_cloth, sew_knitted, sew_pleated
from workers.masks.spec import MaskSpec

# The plastic of melted fibres shines a little, woven cloth does not.
SHINE: Final = MappingProxyType({"surgical": 26.0, "N95": 10.0, "KN95": 14.0})

_SEWN: Final[MappingProxyType[str, Callable[[Sheet], None]]] = MappingProxyType(
    {
        "pleated": sew_pleated,
        "cup": sew_cup,
        "valve": sew_valve,
        "duckbill": sew_duckbill,
        "folded": sew_folded,
        "knitted": sew_knitted,
    }
)


@dataclass(frozen=True, slots=True)
class Fabric:
    """A flat piece of fabric.

    Attributes:
        albedo: (h, w, 3) float32 blue, green, red in white light, 0..255.
        height: (h, w) float32 relief, in hundredths of the mask's height; folds, seams, the valve.
        gloss: (h, w) float32 factor on the light, near 1: the shadow that relief alone does not give.
        shine: levels of the highlight on smooth fabric in full light, 0 on cloth.
    """

    albedo: npt.NDArray[np.float32]
    height: Field
    gloss: Field
    shine: float


def weave(spec: MaskSpec, size_wh: tuple[int, int], rng: np.random.Generator) -> Fabric:
    """Return the fabric of a mask.

    Args:
        spec: its pattern and colour.
        size_wh: pixels of the fabric, width and height.
        rng: gives folds, weave and the places of the pattern.
    """
    width, height = size_wh
    u = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    v = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    sheet = Sheet(
        u=u,
        v=v,
        albedo=paint_pattern(spec, u, v, rng),
        height=np.zeros((height, width), np.float32),
        gloss=np.ones((height, width), np.float32),
        rng=rng,
    )
    _SEWN.get(spec.pattern, sew_cloth)(sheet)
    sheet.shade_hollows()
    sheet.soil()
    return Fabric(sheet.albedo, sheet.height, sheet.gloss, SHINE.get(spec.mask_type, 0.0))
