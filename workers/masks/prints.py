"""Prints: flowers, a motif before the mouth, camouflage."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from workers.masks.planes import hills, wide

Color = npt.NDArray[np.float32]
Picture = npt.NDArray[np.float32]
"""(h, w, 3) float32 blue, green, red in white light."""
_SHIFT = 4
_ANGLES = np.arange(12) * np.pi / 6
_ROUND = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def _flowers(base: Color, second: Color, size_wh: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Flowers and leaves strewn over the cloth, in the partner of its colour and two of their own."""
    width, height = size_wh
    cloth = _plain(base, size_wh)
    size = height * rng.uniform(0.055, 0.09)
    # A jittered grid strews evenly: about three sizes from flower to flower.
    step = 3.1 * size
    x, y = np.meshgrid(np.arange(step / 2, width + step, step), np.arange(step / 2, height + step, step))
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    places += rng.uniform(-0.22, 0.22, places.shape) * step
    turns, big = rng.uniform(0, 2 * np.pi, len(places)), rng.uniform(0.7, 1.15, len(places)) * size
    leaf, eye = 0.5 * base + np.array([35, 75, 40]), 0.4 * base + np.array([30, 110, 140])
    for angle in (0.6, 2.8):
        _discs(cloth, places + _steps(turns + angle, 1.3 * big), 0.42 * big, leaf)
    is_second = rng.random(len(places)) < 0.6
    for these, color in ((is_second, second), (~is_second, _hue(second, rng))):
        for angle in np.arange(5) * 2 * np.pi / 5:
            petals = places[these] + _steps(turns[these] + angle, 0.62 * big[these])
            _discs(cloth, petals, 0.46 * big[these], color)
    _discs(cloth, places, 0.34 * big, eye)
    return np.asarray(cv2.GaussianBlur(cloth.astype(np.float32), (5, 5), 0.7), np.float32)


def _motif(base: Color, second: Color, size_wh: tuple[int, int], rng: np.random.Generator) -> Picture:
    """One picture over the mouth: a smile, a star or a row of teeth."""
    width, height = size_wh
    cloth = _plain(base, size_wh)
    centre, size = np.array([width / 2, 0.58 * height]), 0.2 * height * rng.uniform(0.8, 1.2)
    ink = _ints(base + 0.6 * (second - base))
    drawn = int(rng.integers(3))
    if drawn == 0:
        angles = np.radians(np.arange(20, 161, 5))
        curve = centre + size * np.stack([1.5 * np.cos(angles), 0.8 * np.sin(angles) - 0.4], axis=1)
        _line(cloth, curve, ink, max(1, round(0.17 * size)))
    elif drawn == 1:
        angles = np.arange(10) * np.pi / 5 - np.pi / 2
        star = centre + (size * np.where(np.arange(10) % 2, 0.42, 1.0))[:, None] * np.stack(
            [np.cos(angles), np.sin(angles)], axis=1
        )
        cv2.fillPoly(cloth, [_fixed(star)], ink, cv2.LINE_AA, _SHIFT)
    else:
        for x in np.arange(-4, 4):
            tooth = centre + size * np.array([[0.4 * x, -0.3], [0.4 * x + 0.36, -0.3], [0.4 * x + 0.18, 0.3]])
            cv2.fillPoly(cloth, [_fixed(tooth)], ink, cv2.LINE_AA, _SHIFT)
    return cloth.astype(np.float32)


def _camouflage(base: Color, second: Color, size_wh: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Patches of three shades."""
    cloth = np.broadcast_to(base, (size_wh[1], size_wh[0], 3)).copy()
    for shade, level in ((0.45 * base + 0.55 * second, 0.35), (0.55 * base, 0.55)):
        land = hills(rng, 5, 8, size_wh) + np.float32(0.45) * hills(rng, 10, 16, size_wh)
        patch = np.clip((land - level) / 0.06, 0, 1)
        cloth += wide(patch.astype(np.float32)) * (shade - cloth)
    return np.asarray(cloth, np.float32)


PICTURES: Final[MappingProxyType[str, Callable[..., Picture]]] = MappingProxyType(
    {"floral": _flowers, "printed": _motif, "camouflage": _camouflage}
)
"""What paints each printed pattern: (colour, its partner, width and height, generator)."""


def _plain(base: Color, size_wh: tuple[int, int]) -> npt.NDArray[np.uint8]:
    # Eight bits: OpenCV smooths the edges of shapes in no other pictures.
    return np.full((size_wh[1], size_wh[0], 3), np.round(base), dtype=np.uint8)


def _hue(color: Color, rng: np.random.Generator) -> Color:
    """Return a colour with its channels turned, as a dyer's second vat would have it."""
    return 0.35 * color + 0.65 * np.roll(color, int(rng.integers(1, 3)))


def _steps(angles: npt.NDArray[np.float64], lengths: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (N, 2) steps of (N,) lengths in (N,) directions."""
    steps: npt.NDArray[np.float64] = lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return steps


def _discs(
    cloth: npt.NDArray[np.uint8],
    places: npt.NDArray[np.float64],
    radii: npt.NDArray[np.float64],
    color: npt.NDArray[np.floating[Any]],
) -> None:
    """Fill (N,) discs that do not overlap, all in one call: one by one they would cost more than the mask."""
    outlines = places[:, None] + radii[:, None, None] * _ROUND
    cv2.fillPoly(cloth, list(_fixed(outlines)), _ints(color), cv2.LINE_8, _SHIFT)


def _line(
    cloth: npt.NDArray[np.uint8], curve: npt.NDArray[np.float64], ink: tuple[int, ...], width: int
) -> None:
    cv2.polylines(cloth, [_fixed(curve)], False, ink, width, cv2.LINE_AA, _SHIFT)


def _fixed(points: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    return np.round(points * (1 << _SHIFT)).astype(np.int32)


def _ints(color: npt.NDArray[np.floating[Any]]) -> tuple[int, ...]:
    return tuple(int(value) for value in np.clip(np.round(color), 0, 255))
