"""A flat piece of fabric while it is sewn, and the stitches that every type knows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
"""(h, w) float32 over the fabric: rows from the upper edge down, columns from image-left to image-right."""


@dataclass(slots=True)
class Sheet:
    """The fabric while it is sewn.

    Attributes:
        u: (1, w) from -1 at the image-left edge to 1; v: (h, 1) from 0 at the upper edge to 1.
        albedo: (h, w, 3) float32 blue, green, red in white light, 0..255.
        height: (h, w) relief in hundredths of the mask's height.
        gloss: (h, w) factor on the light, near 1.
        rng: gives folds and grain.
    """

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

    def border(self) -> Field:
        """Return the distance to the nearest edge in parts of the mask's height; the sheet is 1.6 wide."""
        edge: Field = np.minimum(np.minimum(self.v, 1 - self.v), 0.8 * (1 - np.abs(self.u)))
        return edge

    def seam(self, distance: Field, width: float, depth: float) -> None:
        """Press a line into the fabric where the distance is 0."""
        groove = np.exp(-((distance / width) ** 2))
        self.height -= depth * groove
        self.gloss *= 1 - 0.07 * depth * groove

    def crumple(self, depth: float, *, creased: bool = False) -> None:
        """Wear the fabric in: a few broad waves, and creases between the ears where it was folded."""
        # Most masks are put on flat; a few come out of a pocket.
        depth *= 0.6 + 0.8 * float(self.rng.random()) ** 2
        self.height += depth * self.noise(4, 5)
        if creased:
            self.height -= 0.6 * depth * np.exp(-np.abs(self.noise(6, 2)) / 0.25)

    def crease_corners(self, depth: float) -> None:
        """Pull creases from the loops at the four corners towards the middle."""
        for side in (-1, 1):
            away = np.abs(self.u - side)
            fading = depth * np.exp(-away / 0.35)
            for corner in (0.08, 0.92):
                slope = np.float32(self.rng.uniform(0.25, 0.6)) * (0.5 - corner)
                ray = self.v - corner - slope * away
                self.height += fading * np.exp(-((ray / 0.045) ** 2))

    def bend_wire(self, place: float, half: float, depth: float = 1.1) -> None:
        """Press a wire through the fabric across the nose."""
        wire = np.exp(-(((self.v - place) / 0.018) ** 2)) * np.exp(-((self.u / half) ** 8))
        self.height += depth * wire

    def stitch(self, distance: Field, depth: float) -> None:
        """Sew a dashed line where the distance is 0."""
        dashes = np.sin((self.u * 0.8 + self.v) * np.float32(self.rng.uniform(90, 130))) > -0.2
        self.gloss *= 1 - depth * dashes * np.exp(-((distance / 0.009) ** 2))

    def grain(self, density: float, spread: float) -> None:
        """Give the surface a grain a thread or two wide."""
        height, width = self.height.shape
        rows, columns = max(2, int(height * density * 0.5)), max(2, int(width * density * 0.5))
        self.gloss *= 1 + spread * self.noise(rows, columns)

    def soil(self) -> None:
        """Leave what wearing leaves: hardly seen clouds, darker where the mouth is."""
        worn = 0.05 * float(self.rng.random()) ** 2
        if worn > 0.004:
            clouds = np.clip(self.noise(3, 4) + 0.5, 0, 2) * np.exp(-(((self.v - 0.6) / 0.3) ** 2))
            stain = np.array([1.2, 1.0, 0.8], np.float32) * np.float32(worn)
            self.albedo *= 1 - clouds[..., None] * stain

    def shade_hollows(self) -> None:
        """Darken the bottoms of folds, where little of the sky is seen, and lighten their crests."""
        sigma = max(1.0, 0.035 * self.height.shape[0])
        hollow = self.height - cv2.GaussianBlur(self.height, (0, 0), sigma)
        self.gloss *= np.clip(1 + 0.055 * hollow, 0.72, 1.12)
