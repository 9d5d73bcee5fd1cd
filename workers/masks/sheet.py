"""A flat piece of fabric while it is sewn, and the stitches that every type knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from workers.masks.planes import blurred, hills

Field = npt.NDArray[np.float32]
"""(h, w) float32 over the fabric: rows from the upper edge down, columns from image-left to image-right."""
Color = npt.NDArray[np.float32]

# Waves and creases are worked out in a picture of at most this width and enlarged: they are smooth.
SMOOTH_WIDTH = 128
# Steepnesses of the creases at a corner; each crease is worked out once for a size.
_CREASES = (0.28, 0.36, 0.45, 0.56)
# Width and height of the tile that grain is cut from; no sheet is larger.
_TILE = (1024, 640)


@dataclass(slots=True)
class Sheet:
    """The fabric while it is sewn.

    Attributes:
        u: (1, w) from -1 at the image-left edge to 1; v: (h, 1) from 0 at the upper edge to 1.
        height: (h, w) relief in hundredths of the mask's height.
        gloss: (h, w) factor on the light, near 1.
        rng: gives folds and grain.
        trims: parts of another colour: (h, w) shares, 0..1, and (3,) blue, green, red in white light.
    """

    u: Field
    v: Field
    height: Field
    gloss: Field
    rng: np.random.Generator
    trims: list[tuple[Field, Color]] = field(default_factory=list)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.height.shape[1], self.height.shape[0]

    def noise(self, rows: int, columns: int, size_wh: tuple[int, int] | None = None) -> Field:
        """Return smooth noise of about unit spread with that many bumps down and across."""
        return hills(self.rng, rows, columns, size_wh or self.size_wh)

    def border(self) -> Field:
        """Return the distance to the nearest edge in parts of the mask's height; the sheet is 1.6 wide."""
        edge: Field = np.minimum(np.minimum(self.v, 1 - self.v), 0.8 * (1 - np.abs(self.u)))
        return edge

    def seam(self, distance: Field, width: float, depth: float) -> None:
        """Press a line into the fabric where the distance is 0."""
        groove = np.exp(-((distance / width) ** 2))
        self.height -= depth * groove
        self.gloss *= 1 - 0.07 * depth * groove

    def wear_in(self, depth: float, *, creased: float = 0.0, corners: float = 0.0, fine: float = 0.0) -> None:
        """Wear the fabric in: a few broad waves; more on request.

        Args:
            depth: of the waves.
            creased: how deep, in parts of `depth`, are creases between the ears where it was folded.
            corners: depth of the creases that the loops pull from the four corners towards the middle.
            fine: depth of smaller waves, as in soft cloth.
        """
        # Most masks are put on flat; a few come out of a pocket.
        depth *= 0.6 + 0.8 * float(self.rng.random()) ** 2
        width, height = self.size_wh
        size_wh = (width, height) if width <= SMOOTH_WIDTH else (SMOOTH_WIDTH, SMOOTH_WIDTH * height // width)
        relief = np.float32(depth) * self.noise(4, 5, size_wh)
        if creased:
            sharp = np.abs(self.noise(6, 2, size_wh))
            sharp *= np.float32(-4)
            relief -= np.float32(creased * depth) * np.asarray(cv2.exp(sharp))
        if fine:
            relief += np.float32(fine) * self.noise(7, 9, size_wh)
        if corners:
            for corner, crease in enumerate(self.rng.integers(len(_CREASES), size=4).tolist()):
                relief = np.asarray(cv2.scaleAdd(_crease(size_wh, corner, crease), corners, relief))
        if size_wh != (width, height):
            relief = np.asarray(cv2.resize(relief, (width, height), interpolation=cv2.INTER_LINEAR))
        self.height += relief

    def bend_wire(self, place: float, half: float, depth: float = 1.1) -> None:
        """Press a wire through the fabric across the nose."""
        wire = np.exp(-(((self.v - place) / 0.018) ** 2)) * np.exp(-((self.u / half) ** 8))
        self.height += depth * wire

    def stitch(self, distance: Field, depth: float) -> None:
        """Sew a dashed line where the distance is 0."""
        dashes = np.sin((self.u * 0.8 + self.v) * np.float32(110)) > -0.2
        self.gloss *= 1 - depth * dashes * np.exp(-((distance / 0.009) ** 2))

    def grain(self, density: float, spread: float) -> None:
        """Give the surface a grain a thread or two wide."""
        width, height = self.size_wh
        left, up = (
            int(self.rng.integers(most - side + 1)) for most, side in zip(_TILE, (width, height), strict=True)
        )
        tile = _thread_tile(density)[up : up + height, left : left + width]
        self.gloss *= 1 + np.float32(spread) * tile

    def soil(self) -> None:
        """Leave what wearing leaves: hardly seen clouds, darker where the mouth is."""
        worn = 0.05 * float(self.rng.random()) ** 2
        clouds = np.clip(self.noise(3, 4) + 0.5, 0, 2) * np.exp(-(((self.v - 0.6) / 0.3) ** 2))
        self.gloss *= 1 - np.float32(worn) * clouds

    def shade_hollows(self) -> None:
        """Darken the bottoms of folds, where little of the sky is seen, and lighten their crests."""
        sigma = max(1.0, 0.035 * self.height.shape[0])
        hollow = self.height - blurred(self.height, sigma)
        hollow *= np.float32(0.08)
        np.clip(hollow, -0.32, 0.14, out=hollow)
        hollow += 1
        self.gloss *= hollow


@lru_cache(maxsize=32)
def axes(size_wh: tuple[int, int]) -> tuple[Field, Field]:
    """Return the (1, w) u and the (h, 1) v of a sheet."""
    u = np.linspace(-1, 1, size_wh[0], dtype=np.float32)[None, :]
    v = np.linspace(0, 1, size_wh[1], dtype=np.float32)[:, None]
    for axis in (u, v):
        axis.setflags(write=False)
    return u, v


@lru_cache(maxsize=256)
def _crease(size_wh: tuple[int, int], corner: int, crease: int) -> Field:
    """Return the (h, w) relief of a crease from a corner: upper left, lower left, upper right, lower right."""
    u, v = axes(size_wh)
    away = np.abs(u - (-1 if corner < 2 else 1))
    start = 0.92 if corner % 2 else 0.08
    ray = v - start - np.float32(_CREASES[crease] * (0.5 - start)) * away
    relief: Field = np.exp(-away / np.float32(0.35)) * np.exp(-((ray / np.float32(0.045)) ** 2))
    relief.setflags(write=False)
    return relief


@lru_cache(maxsize=8)
def _thread_tile(density: float) -> Field:
    """Return (h, w) noise of about unit spread, two pixels a thread at density 1; always the same."""
    rng = np.random.Generator(np.random.PCG64(7))
    columns, rows = (int(side * density * 0.5) for side in _TILE)
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    tile = np.asarray(cv2.resize(coarse, _TILE, interpolation=cv2.INTER_CUBIC), np.float32)
    tile.setflags(write=False)
    return tile
