"""The weave of each pattern: colour and relief, drawn by arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from workers.masks.patterns import paint_pattern
from workers.masks.spec import MaskSpec

# The plastic of melted fibres shines a little, woven cloth does not.
SHINE: Final = MappingProxyType({"surgical": 26.0, "N95": 10.0, "KN95": 14.0})

Field = npt.NDArray[np.float32]
"""(h, w) float32 over the fabric: rows from the upper edge down, columns from image-left to image-right."""


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


@dataclass(slots=True)
class _Sheet:
    """The fabric while it is sewn: u in -1..1, v in 0..1, both as fields that broadcast."""

    u: Field
    v: Field
    albedo: npt.NDArray[np.float32]
    height: Field
    gloss: Field
    rng: np.random.Generator

    def noise(self, rows: int, columns: int) -> Field:
        """Return smooth noise of about unit spread with that many bumps down and across."""
        coarse = self.rng.standard_normal((rows, columns), dtype=np.float32)
        size_wh = self.height.shape[1], self.height.shape[0]
        return np.asarray(cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC), np.float32)

    def seam(self, distance: Field, width: float, depth: float) -> None:
        """Press a line into the fabric where the distance is 0."""
        groove = np.exp(-((distance / width) ** 2))
        self.height -= depth * groove
        self.gloss *= 1 - 0.05 * depth * groove

    def border(self) -> Field:
        """Return the distance to the nearest edge in parts of the mask's height; the sheet is 1.6 wide."""
        edge: Field = np.minimum(np.minimum(self.v, 1 - self.v), 0.8 * (1 - np.abs(self.u)))
        return edge


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
    sheet = _Sheet(
        u=u,
        v=v,
        albedo=paint_pattern(spec, u, v, rng),
        height=np.zeros((height, width), np.float32),
        gloss=np.ones((height, width), np.float32),
        rng=rng,
    )
    _SEWN[spec.pattern](sheet)
    return Fabric(sheet.albedo, sheet.height, sheet.gloss, SHINE.get(spec.mask_type, 0.0))


def _sew_pleated(sheet: _Sheet) -> None:
    """Three folds that open over the nose and close at the sides, sealed edges, a wire over the nose."""
    spread = 1 - 0.75 * sheet.u**2
    sway = 0.012 * sheet.noise(3, 5)
    for place in (0.26, 0.45, 0.65):
        # Below the fold's edge the fabric dives under: a sharp shadow, then a slow rise.
        below = sheet.v + sway - place - 0.02 * (sheet.u**2) * np.sign(0.5 - place)
        tuck = np.where(below > 0, np.exp(-below / 0.035), 0) * (0.55 + 0.45 * spread)
        lip = np.where(below <= 0, np.exp(below / 0.05), 0)
        sheet.height += 2.2 * lip * spread - 1.2 * tuck
        sheet.gloss *= 1 - 0.20 * tuck
    sheet.height += 0.9 * sheet.noise(4, 6)
    _crease_corners(sheet, 0.6)
    border = sheet.border()
    sheet.seam(border - 0.055, 0.012, 0.9)
    sheet.gloss *= 1 - 0.06 * (border < 0.05)
    _bend_wire(sheet, 0.05, 0.5)
    sheet.gloss *= 1 + 0.012 * sheet.noise(*_threads(sheet, 1.0))


def _sew_cup(sheet: _Sheet) -> None:
    """A moulded cup with a pressed rim and a metal clip."""
    border = sheet.border()
    rim = np.exp(-(((border - 0.075) / 0.03) ** 2))
    sheet.height += 5.0 * np.clip(border / 0.22, 0, 1) ** 0.7 - 1.6 * rim
    sheet.gloss *= 1 - 0.07 * rim
    sheet.height += 0.5 * sheet.noise(4, 5)
    _bend_wire(sheet, 0.12, 0.38)
    clip = np.exp(-(((sheet.v - 0.12) / 0.022) ** 4)) * np.exp(-((sheet.u / 0.36) ** 8))
    sheet.albedo += (clip * 0.45)[..., None] * (np.array([178, 176, 172], np.float32) - sheet.albedo)
    sheet.gloss *= 1 + 0.02 * sheet.noise(*_threads(sheet, 0.8))


def _sew_valve(sheet: _Sheet) -> None:
    """The cup with a round valve on one cheek."""
    _sew_cup(sheet)
    side = 0.34 if sheet.rng.random() < 0.5 else -0.34
    radius = np.sqrt(((sheet.u - side) * 0.8) ** 2 + (sheet.v - 0.56) ** 2) / 0.155
    disc = np.clip((1.06 - radius) / 0.12, 0, 1)
    sheet.albedo += (0.75 * disc)[..., None] * (np.array([206, 206, 204], np.float32) - sheet.albedo)
    sheet.height += 4.0 * disc + 1.0 * np.exp(-(((radius - 0.72) / 0.12) ** 2))
    slits = (np.sin((sheet.v - 0.56) * 100) > 0.45) & (radius < 0.55)
    sheet.gloss *= 1 - 0.28 * slits - 0.18 * np.exp(-(((radius - 1.08) / 0.10) ** 2))


def _sew_folded(sheet: _Sheet) -> None:
    """Two panels that meet in a fold down the middle, with welded edges."""
    ridge = np.abs(sheet.u) + 0.02 * np.clip(sheet.noise(4, 1), -1, 1)
    sheet.height -= 7.0 * np.sqrt(ridge**2 + 0.0015)
    sheet.gloss *= 1 - 0.10 * np.exp(-(((np.abs(sheet.u) - 0.035) / 0.022) ** 2))
    sheet.gloss *= 1 + 0.06 * np.exp(-((sheet.u / 0.018) ** 2))
    sheet.height += 0.7 * sheet.noise(4, 6)
    _crease_corners(sheet, 0.5)
    border = sheet.border()
    dashes = 0.6 + 0.4 * np.sign(np.sin((sheet.u + sheet.v) * 95))
    sheet.seam(border - 0.05, 0.011, 1.1)
    sheet.gloss *= 1 - 0.10 * dashes * np.exp(-(((border - 0.075) / 0.008) ** 2))
    _bend_wire(sheet, 0.10, 0.34)
    sheet.gloss *= 1 + 0.012 * sheet.noise(*_threads(sheet, 1.0))


def _sew_cloth(sheet: _Sheet) -> None:
    """Soft folds, a woven grain and a stitched hem."""
    sheet.height += 1.5 * sheet.noise(4, 4) + 0.5 * sheet.noise(7, 9)
    _crease_corners(sheet, 1.2)
    border = sheet.border()
    sheet.height += 0.8 * np.clip((0.06 - border) / 0.01, 0, 1)
    stitches = (np.sin((sheet.u * 0.8 + sheet.v) * 120) > -0.2) * np.exp(-(((border - 0.045) / 0.009) ** 2))
    sheet.gloss *= 1 - 0.16 * stitches
    sheet.seam(border - 0.065, 0.014, 1.0)
    sheet.gloss *= 1 + 0.03 * sheet.noise(*_threads(sheet, 0.7))


def _crease_corners(sheet: _Sheet, depth: float) -> None:
    """Pull creases from the loops at the four corners towards the middle."""
    for side in (-1, 1):
        for corner in (0.08, 0.92):
            away = np.abs(sheet.u - side)
            slope = np.float32(sheet.rng.uniform(0.35, 0.6)) * (0.5 - corner)
            ray = sheet.v - corner - slope * away
            sheet.height += depth * np.exp(-((ray / 0.045) ** 2)) * np.exp(-away / 0.35)


def _bend_wire(sheet: _Sheet, place: float, half: float) -> None:
    """Press a wire through the fabric across the nose."""
    wire = np.exp(-(((sheet.v - place) / 0.018) ** 2)) * np.exp(-((sheet.u / half) ** 8))
    sheet.height += 0.8 * wire


def _threads(sheet: _Sheet, density: float) -> tuple[int, int]:
    """Return rows and columns of noise for a grain a thread or two wide."""
    height, width = sheet.height.shape
    return max(2, int(height * density * 0.5)), max(2, int(width * density * 0.5))


_SEWN: Final[MappingProxyType[str, Callable[[_Sheet], None]]] = MappingProxyType(
    {
        "pleated": _sew_pleated,
        "cup": _sew_cup,
        "valve": _sew_valve,
        "folded": _sew_folded,
        "plain": _sew_cloth,
        "striped": _sew_cloth,
        "checked": _sew_cloth,
        "dotted": _sew_cloth,
    }
)
