"""The pictures in which a segmentation sees a face: the image that it is in, or crops of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.arrays import FloatArray, GrayImage, ImageBgr
from common.errors import ImageError
from common.escaping import unescape
from common.files import read_source
from common.images import decode
from common.ledger.claims import ClaimedFace, ClaimedImage
from workers.crops import crop, matrix_for
from workers.geometry import Matrix
from workers.landmarks.points import five_points
from workers.maskers.maps import FACE_SIDE, face_matrix, project_back, region_matrix
from workers.sources import check_relative
from workers.times import PartTimes

_IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
_THREE_POINTS = [39, 42, 57]


@dataclass(frozen=True)
class View:
    """One picture that shows a face.

    Attributes:
        stem: what the names of its previews begin with, with folder.
        picture: gives the pixels.
        to_picture: (2, 3), image to picture.
        face: (2, 3), image to the square of the face that previews show.
        side: of that square, pixels.
        is_crop: the picture is that square.
    """

    stem: bytes
    picture: Callable[[], ImageBgr]
    to_picture: Matrix
    face: Matrix
    side: int
    is_crop: bool

    def face_bgr(self) -> ImageBgr:
        """(side, side, 3): the face as previews show it."""
        return self.picture() if self.is_crop else crop(self.picture(), self.face, self.side, "black")

    def over_picture(self, picture: GrayImage, matrix: Matrix) -> GrayImage:
        """A map laid over the whole picture."""
        height, width = self.picture().shape[:2]
        return project_back(picture, matrix, (width, height))


def aligned(face: ClaimedFace) -> Matrix:
    """The face's `buffalo` transform: from the detector's five points, or from the 68.

    Raises:
        ValueError: it has neither, or they lie in one place.
    """
    return face_matrix(_five(face))


def view_of_image(image: ClaimedImage, face: ClaimedFace, load: Callable[[], ImageBgr]) -> View:
    """The whole image, of which previews show the aligned square.

    Raises:
        ValueError: the face cannot be aligned.
    """
    return View(image.stem, load, _IDENTITY, aligned(face), FACE_SIDE, False)


def views_of_crops(
    crops: Sequence[dict[str, Any]], face: ClaimedFace, folders: Sequence[bytes], times: PartTimes
) -> list[View]:
    """The crops of a face; the unmasked ones first, then by path.

    Args:
        crops: of the whole image, see `common.models.SegmentImage`.
        folders: real paths that they may lie in.

    Raises:
        ValueError: the face cannot be aligned.
        ImageError: a row leads out of its folder.
    """
    stems = Counter(os.path.splitext(unescape(one["path"]))[0] for one in crops)
    mine = sorted(
        (one for one in crops if one["face_id"] == face.id),
        key=lambda one: (one["variant"] is not None, one["path"]),
    )
    views = []
    for one in mine:
        path = unescape(one["path"])
        check_relative(path)
        stem = os.path.splitext(path)[0]
        matrix = _crop_matrix(one, face)
        load = _loader(os.path.join(folders[one["folder"]], path), folders, one["side"], times)
        views.append(View(stem if stems[stem] == 1 else path, load, matrix, matrix, one["side"], True))
    return views


def _crop_matrix(one: dict[str, Any], face: ClaimedFace) -> Matrix:
    """Image to crop: as its record says, at whatever size the file has now; else cut again from the points."""
    if one["matrix"] is not None:
        recorded = np.asarray(one["matrix"], np.float64).reshape(2, 3)
        return region_matrix(recorded, one["side"], face_side=one["recorded_side"])
    return matrix_for(one["style"], _five(face), points68(face)[_THREE_POINTS], one["side"])


def points68(face: ClaimedFace) -> FloatArray:
    """(68, 2) float64.

    Raises:
        ValueError: the face has no landmarks.
    """
    if face.points_68 is None:
        raise ValueError("the face has no landmarks")
    return np.asarray(face.points_68, np.float64)


def _five(face: ClaimedFace) -> FloatArray:
    if face.points_5 is not None:
        return np.asarray(face.points_5, np.float64)
    return five_points(points68(face))


def _loader(path: bytes, folders: Sequence[bytes], side: int, times: PartTimes) -> Callable[[], ImageBgr]:
    def load() -> ImageBgr:
        with times.part("read"):
            data = read_source(path, roots=folders)
        with times.part("decode"):
            picture = decode(data)
        if picture.shape[:2] != (side, side):
            raise ImageError(
                "changed", f"a crop of {side} x {side} pixels is expected, got {picture.shape[1::-1]}"
            )
        return picture

    return load
