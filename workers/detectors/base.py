"""What every detector takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from common.arrays import FloatArray, ImageBgr


@dataclass(frozen=True)
class Detection:
    """The faces of one image, highest score first; N may be 0.

    Attributes:
        boxes_xyxy: (N, 4) float64, pixels of the image as given, maxima exclusive, clipped to it.
        scores: (N,) float64, 0–1.
        points5: (N, 5, 2) float64, x and y in pixels: image-left eye, image-right eye, nose, image-left and
            image-right corner of the mouth; they may lie outside the image. None: the detector has no points.
            A face without points among others that have some has NaN.
        angles: (N,) degrees clockwise that the picture was turned when each face was found; None: upright.
    """

    boxes_xyxy: FloatArray
    scores: FloatArray
    points5: FloatArray | None
    angles: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.scores)


class Detector(Protocol):
    """Finds faces. A detector belongs to the process and the thread that opened it."""

    @property
    def name(self) -> str:
        """The word that `--detector` takes."""

    @property
    def provider(self) -> str:
        """Where it really runs, and in which precision if not fp32: `CPU`, `CUDA fp16`."""

    @property
    def batch(self) -> int:
        """The most images that its network takes at once; 1 where batches do not pay."""

    def detect(self, images_bgr: Sequence[ImageBgr]) -> list[Detection]:
        """Return the faces of each image, in order, in pixels of that image."""


def enlarged(detection: Detection, factor: int, size_wh: tuple[int, int]) -> Detection:
    """Return a detection on a reduced image in pixels of the whole one.

    Args:
        factor: pixels of the whole image to one of the reduced image, in each direction.
        size_wh: of the whole image; boxes are clipped to it.
    """
    if factor == 1:
        return detection
    points5 = None if detection.points5 is None else detection.points5 * factor
    boxes_xyxy = np.minimum(detection.boxes_xyxy * factor, np.tile(np.array(size_wh, np.float64), 2))
    return replace(rounded(boxes_xyxy, detection.scores, points5), angles=detection.angles)


def rounded(boxes_xyxy: FloatArray, scores: FloatArray, points5: FloatArray | None) -> Detection:
    """Return a detection with coordinates rounded to 1/100 pixel and scores to 1/10000.

    Compact in SQL, and the same on machines whose arithmetic differs in the last bits.
    """
    return Detection(
        np.round(boxes_xyxy.astype(np.float64), 2),
        np.round(scores.astype(np.float64), 4),
        None if points5 is None else np.round(points5.astype(np.float64), 2),
    )
