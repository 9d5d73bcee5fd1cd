"""What every landmark model takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from common.arrays import FloatArray, ImageBgr

if TYPE_CHECKING:
    from workers.sessions import Provider


@dataclass(frozen=True)
class Landmarks:
    """The points of the faces of one image, in the order of the boxes; N may be 0.

    Attributes:
        points68: (N, 68, 2) float64, x and y in pixels of the image, in the order of iBUG 300-W; they may lie
            outside the image.
        points5: (N, 5, 2) float64, what this model takes for the five points; for detectors that have none.
    """

    points68: FloatArray
    points5: FloatArray


@dataclass(frozen=True)
class FacesOf:
    """The faces of one image, as they go into a landmark model.

    Attributes:
        image_bgr: the whole image.
        boxes_xyxy: (N, 4), pixels; N may be 0.
        points5: (N, 5, 2), the detector's points; None where it has none.
    """

    image_bgr: ImageBgr
    boxes_xyxy: FloatArray
    points5: FloatArray | None


class Landmarker(Protocol):
    """Finds 68 points in faces. A landmarker belongs to the process and the thread that opened it."""

    @property
    def name(self) -> str:
        """The word that `--landmarks` takes."""

    @property
    def batch(self) -> int:
        """Faces that it likes to see one after the other, whichever images they belong to."""

    @property
    def provider(self) -> Provider:
        """Where it really runs."""

    def find(self, image_bgr: ImageBgr, boxes_xyxy: FloatArray, points5: FloatArray | None) -> Landmarks:
        """Return the points of each face.

        Args:
            image_bgr: the whole image.
            boxes_xyxy: (N, 4), the detector's boxes, pixels.
            points5: (N, 5, 2), the detector's points, pixels; None where it has none.
        """

    def find_all(self, images: Sequence[FacesOf]) -> list[Landmarks]:
        """Return the points of the faces of several images; the same as `find` on each.

        A network is fed full batches of faces, whichever images they belong to.
        """


def rounded(points68: FloatArray, points5: FloatArray) -> Landmarks:
    """Return landmarks rounded to 1/100 pixel, as the detectors' boxes are."""
    return Landmarks(np.round(points68, 2), np.round(points5, 2))
