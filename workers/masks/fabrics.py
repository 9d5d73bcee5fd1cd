"""The fabric of each pattern: colour and relief, drawn by arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from workers.masks.patterns import is_printed, paint_pattern
from workers.masks.respirators import (
    finish_cup,
    finish_duckbill,
    finish_folded,
    sew_cup,
    sew_duckbill,
    sew_folded,
    sew_valve,
)
from workers.masks.sheet import Color, Field, Sheet, axes
from workers.masks.soft_masks import (
    finish_cloth,
    finish_knitted,
    finish_pleated,
    sew_cloth,
    sew_knitted,
    sew_pleated,
)
from workers.masks.spec import MaskSpec

# The plastic of melted fibres shines a little, woven cloth does not.
SHINE: Final = MappingProxyType({"surgical": 26.0, "N95": 10.0, "KN95": 14.0})

Sew = Callable[[Sheet], None]
# For each pattern what is the same on every mask of a size, worked out once, and what differs.
_SEWN: Final[MappingProxyType[str, tuple[Sew, Sew]]] = MappingProxyType(
    {
        "pleated": (finish_pleated, sew_pleated),
        "cup": (finish_cup, sew_cup),
        "valve": (finish_cup, sew_valve),
        "duckbill": (finish_duckbill, sew_duckbill),
        "folded": (finish_folded, sew_folded),
        "knitted": (finish_knitted, sew_knitted),
    }
)
_CLOTH: Final = (finish_cloth, sew_cloth)


# Sheets up to this width are taken from a drawer that holds so many of each cut, and as many mirrored; larger
# ones, on which folds can be told apart, are sewn for each mask.
DRAWER_WIDTH, DRAWER_SHEETS = 176, 12
# Seven cuts in five sizes: with 160 sheets kept, every fifth small mask of a mixed job was sewn anew.
DRAWERS = 7 * 5 * DRAWER_SHEETS
# The height of the relief in parts of the mask's height: folds stand out as those of worn masks do.
RELIEF = 0.017
# Half of the part of the light that comes from one side.
LEAN = 0.32
# Flat fabric between the folds gets a little more than the mean, so that the mean stays.
OPEN = np.float32(1.06)
# Steepest fold that is shaded, run over rise: the edge of a pleat would glitter.
STEEPEST = np.float32(0.6)


@dataclass(frozen=True, slots=True)
class Fabric:
    """A flat piece of fabric.

    Attributes:
        albedo: (h, w, 3) float32 blue, green, red in white light, 0..255; (1, 1, 3) in one colour.
        slope_x, slope_y: (h, w) float32 how steeply folds, seams and the valve rise along u and v, at most
            `STEEPEST`.
        gloss: (h, w) float32 factor on the light, near 1: the shadow that relief alone does not give.
        shine: levels of the highlight on smooth fabric in full light, 0 on cloth.
    """

    albedo: npt.NDArray[np.float32]
    slope_x: Field
    slope_y: Field
    gloss: Field
    shine: float


@dataclass(frozen=True, slots=True)
class _Sewn:
    """What a sheet has whatever its colour; `trims` are parts of another colour, (h, w) shares."""

    slope_x: Field
    slope_y: Field
    gloss: Field
    trims: tuple[tuple[Field, Color], ...]

    def mirrored(self) -> _Sewn:
        """Return the sheet as its mirror image."""
        slope_x, slope_y, gloss = (
            np.asarray(cv2.flip(part, 1), np.float32) for part in (self.slope_x, self.slope_y, self.gloss)
        )
        np.negative(slope_x, out=slope_x)
        trims = tuple((np.asarray(cv2.flip(share, 1), np.float32), color) for share, color in self.trims)
        return _Sewn(slope_x, slope_y, gloss, trims)


def weave(spec: MaskSpec, size_wh: tuple[int, int], rng: np.random.Generator) -> Fabric:
    """Return the fabric of a mask.

    Args:
        spec: its pattern and colour.
        size_wh: pixels of the fabric, width and height.
        rng: gives folds, weave and the places of the pattern.
    """
    finish, sew = _SEWN.get(spec.pattern, _CLOTH)
    if size_wh[0] > DRAWER_WIDTH:
        sewn = _sew(finish, sew, size_wh, rng)
    else:
        number, is_mirrored = divmod(int(rng.integers(2 * DRAWER_SHEETS)), 2)
        sewn = _from_drawer(finish, sew, size_wh, number)
        sewn = sewn.mirrored() if is_mirrored else sewn
    if size_wh[0] > DRAWER_WIDTH or not is_printed(spec.pattern):
        albedo = paint_pattern(spec.pattern, spec.color, size_wh, rng)
    else:
        albedo = _printed(spec, size_wh, rng)
    if sewn.trims:
        albedo = _trimmed(albedo, sewn.trims)
    return Fabric(albedo, sewn.slope_x, sewn.slope_y, sewn.gloss, SHINE.get(spec.mask_type, 0.0))


def _trimmed(
    albedo: npt.NDArray[np.float32], trims: Sequence[tuple[Field, Color]]
) -> npt.NDArray[np.float32]:
    """Return (h, w, 3) colours with parts of another one; channel by channel, a third of the time of all three."""
    plain = albedo.shape[:2] == (1, 1)
    channels = [np.asarray(channel, np.float32) for channel in (albedo[0, 0] if plain else cv2.split(albedo))]
    for share, color in trims:
        channels = [own + share * (other - own) for own, other in zip(channels, color, strict=True)]
    return np.asarray(cv2.merge(channels), np.float32)


def _printed(spec: MaskSpec, size_wh: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the cloth of a print; masks of one size on a picture's faces, whose chance is the same, share it."""
    cloth, rng.bit_generator.state = _print_once(
        spec.pattern, spec.color, size_wh, *_state_of(rng.bit_generator.state)
    )
    return cloth


def _state_of(state: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Return the numbers that a PCG64 goes on from."""
    return state["state"]["state"], state["state"]["inc"], state["has_uint32"], state["uinteger"]


@lru_cache(maxsize=16)
def _print_once(
    pattern: str, color: str, size_wh: tuple[int, int], state: int, step: int, has_uint32: int, uinteger: int
) -> tuple[npt.NDArray[np.float32], Mapping[str, Any]]:
    """Return a cloth, 0.25 MB at most, and how a PCG64 in that state stands when it is printed."""
    bits = np.random.PCG64(0)
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": step},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    cloth = paint_pattern(pattern, color, size_wh, np.random.Generator(bits))
    cloth.setflags(write=False)
    return cloth, bits.state


@lru_cache(maxsize=DRAWERS)
def _from_drawer(finish: Sew, sew: Sew, size_wh: tuple[int, int], number: int) -> _Sewn:
    """Return one sheet of a cut, sewn once; 0.3 MB at most."""
    sewn = _sew(finish, sew, size_wh, np.random.Generator(np.random.PCG64(number)))
    for shared in (sewn.slope_x, sewn.slope_y, sewn.gloss, *(share for share, _ in sewn.trims)):
        shared.setflags(write=False)
    return sewn


def _sew(finish: Sew, sew: Sew, size_wh: tuple[int, int], rng: np.random.Generator) -> _Sewn:
    relief, gloss = _finished(finish, size_wh)
    sheet = Sheet(*axes(size_wh), relief.copy(), gloss.copy(), rng)
    sew(sheet)
    sheet.shade_hollows()
    sheet.soil()
    # The sheet is 1.6 times as wide as high.
    width, height = size_wh
    slope_x, slope_y = (
        np.asarray(cv2.Sobel(sheet.height, cv2.CV_32F, dx, 1 - dx, scale=RELIEF * side / 8), np.float32).clip(
            -STEEPEST, STEEPEST
        )
        for dx, side in ((1, width / 1.6), (0, height))
    )
    # Light from the camera's own side is lost on slopes whichever way they lean: cos a = 1 - tan^2 a / 2.
    sheet.gloss *= OPEN - np.float32(LEAN) * (slope_x * slope_x + slope_y * slope_y)
    return _Sewn(slope_x, slope_y, sheet.gloss, tuple(sheet.trims))


@lru_cache(maxsize=64)
def _finished(finish: Sew, size_wh: tuple[int, int]) -> tuple[Field, Field]:
    """Return the (h, w) relief and gloss of what is the same on every mask of a size."""
    width, height = size_wh
    u, v = axes(size_wh)
    plain = np.zeros((height, width), np.float32), np.ones((height, width), np.float32)
    sheet = Sheet(u, v, *plain, np.random.Generator(np.random.PCG64(0)))
    finish(sheet)
    # The fabric turns away at its edge and goes dark there.
    sheet.gloss *= 0.90 + 0.10 * np.clip(sheet.border() / 0.045, 0, 1)
    # Under the chin it sees the chest instead of the sky.
    sheet.gloss *= 1 - 0.16 * np.clip((v - 0.7) / 0.3, 0, 1) ** 1.5
    for shared in plain:
        shared.setflags(write=False)
    return plain
