"""What every detector takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.arrays import FloatArray, ImageBgr
from workers.sessions import Provider


@dataclass(frozen=True)
class Detection:
    """The faces of one image, highest score first; N may be 0.

    Attributes:
        boxes_xyxy: (N, 4) float64, pixels of the image as given, maxima exclusive, clipped to it.
        scores: (N,) float64, 0–1.
        points5: (N, 5, 2) float64, x and y in pixels: image-left eye, image-right eye, nose, image-left and
            image-right corner of the mouth; they may lie outside the image. None: the detector has no points.
    """

    boxes_xyxy: FloatArray
    scores: FloatArray
    points5: FloatArray | None

    def __len__(self) -> int:
        return len(self.scores)


class Detector(Protocol):
    """Finds faces. A detector belongs to the process and the thread that opened it."""

    @property
    def name(self) -> str:
        """The word that `--detector` takes."""

    @property
    def provider(self) -> Provider:
        """Where it really runs."""

    def detect(self, images_bgr: Sequence[ImageBgr]) -> list[Detection]:
        """Return the faces of each image, in order, in pixels of that image."""


def rounded(boxes_xyxy: FloatArray, scores: FloatArray, points5: FloatArray | None) -> Detection:
    """Return a detection with coordinates rounded to 1/100 pixel and scores to 1/10000.

    Compact in SQL, and the same on machines whose arithmetic differs in the last bits.
    """
    return Detection(
        np.round(boxes_xyxy.astype(np.float64), 2),
        np.round(scores.astype(np.float64), 4),
        None if points5 is None else np.round(points5.astype(np.float64), 2),
    )
