"""What a masker is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from common.arrays import FloatArray, GrayImage, ImageBgr
from workers.geometry import Matrix


@dataclass(frozen=True)
class MadeMap:
    """A map of one face.

    Attributes:
        picture: (128, 128) uint8, 255 where the face is.
        matrix: (2, 3), image to map.
    """

    picture: GrayImage
    matrix: Matrix


class FaceMasker(Protocol):
    """Makes the map of a face.

    Attributes:
        name: what its maps are stored under.
        needs_pixels: the image is looked at; otherwise it need not be read.
    """

    name: str
    needs_pixels: bool

    def make(self, image_bgr: ImageBgr | None, points68: FloatArray, face: Matrix) -> MadeMap:
        """Make the map of one face.

        Args:
            image_bgr: the upright image; may be None where no pixels are needed.
            points68: (68, 2), image pixels.
            face: from `workers.maskers.maps.face_matrix`.
        """
        ...
