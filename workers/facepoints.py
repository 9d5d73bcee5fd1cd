"""Where the points of faces are: boxes and angles of the detect stage in, landmarks of the upright picture out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.ledger.claims import ClaimedFace
from workers.landmarks.base import FacesOf, Landmarker
from workers.turning import level_face

if TYPE_CHECKING:
    from workers.masks.already import MaskJudge


@dataclass(frozen=True)
class FacePoints:
    """Where one face is.

    Attributes:
        id: its row.
        face_index: its number in the image.
        limit_xyxy: the box grown by half its size on each side; no mask leaves it.
        points68: (68, 2), pixels.
        crop_points5: (5, 2), the detector's points, or those of the landmarks where it has none.
        detector_points5: (5, 2) or None.
        is_masked: it wears a mask already and is left alone.
    """

    id: int
    face_index: int
    limit_xyxy: tuple[float, float, float, float]
    points68: FloatArray
    crop_points5: FloatArray
    detector_points5: FloatArray | None
    is_masked: bool = False


@dataclass(frozen=True)
class _Request:
    """Some faces of one image that the landmark model can see together.

    Attributes:
        image: which image of the call.
        places: which faces of it.
        to_image: takes the model's points back into the upright picture; None: they are of it.
    """

    image: int
    places: tuple[int, ...]
    faces: FacesOf
    to_image: Callable[[FloatArray], FloatArray] | None = None


def find_points(
    landmarker: Landmarker,
    image_bgr: ImageBgr,
    faces: Sequence[ClaimedFace],
    mask_judge: MaskJudge | None = None,
) -> list[FacePoints]:
    """The landmarks of every accepted face of an image, and whether it wears a mask already."""
    return find_points_of_all(landmarker, [(image_bgr, faces)], mask_judge)[0]


def find_points_of_all(
    landmarker: Landmarker,
    images: Sequence[tuple[ImageBgr, Sequence[ClaimedFace]]],
    mask_judge: MaskJudge | None = None,
) -> list[list[FacePoints]]:
    """The landmarks of the faces of several images, in full batches of faces; images without faces pass through."""
    requests = [one for k, (image_bgr, faces) in enumerate(images) for one in _requests(k, image_bgr, faces)]
    points68: dict[tuple[int, int], FloatArray] = {}
    points5: dict[tuple[int, int], FloatArray] = {}
    for request, found in zip(
        requests, landmarker.find_all([request.faces for request in requests]), strict=True
    ):
        for place, all68, all5 in zip(request.places, found.points68, found.points5, strict=True):
            back = request.to_image or _as_they_are
            points68[request.image, place], points5[request.image, place] = back(all68), back(all5)
    answers: list[list[FacePoints]] = []
    for k, (image_bgr, faces) in enumerate(images):
        masked = [False] * len(faces)
        if mask_judge is not None and faces:
            masked = mask_judge.masked(image_bgr, np.array([face.box for face in faces], dtype=np.float64))
        answers.append(
            [
                _face_points(face, points68[k, place], points5[k, place], is_masked=masked[place])
                for place, face in enumerate(faces)
            ]
        )
    return answers


def grown_by_half(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The box with half its width and height added on each side."""
    x1, y1, x2, y2 = box
    grow_x, grow_y = (x2 - x1) / 2, (y2 - y1) / 2
    return x1 - grow_x, y1 - grow_y, x2 + grow_x, y2 + grow_y


def _requests(k: int, image_bgr: ImageBgr, faces: Sequence[ClaimedFace]) -> Iterator[_Request]:
    """Upright faces together, those with points apart from those without; each turned face by itself."""
    for has_points in (True, False):
        places = [
            place
            for place, face in enumerate(faces)
            if not face.angle and (face.points_5 is not None) == has_points
        ]
        if places:
            boxes = np.array([faces[place].box for place in places], dtype=np.float64)
            points = _array([faces[place].points_5 for place in places]) if has_points else None
            yield _Request(k, tuple(places), FacesOf(image_bgr, boxes, points))
    for place, face in enumerate(faces):
        if face.angle:
            level = level_face(image_bgr, face.box, _array(face.points_5), face.angle)
            points = None if level.points5 is None else level.points5[None]
            yield _Request(
                k, (place,), FacesOf(level.image_bgr, level.box_xyxy[None], points), level.to_image
            )


def _face_points(
    face: ClaimedFace, points68: FloatArray, points5: FloatArray, *, is_masked: bool
) -> FacePoints:
    given = _array(face.points_5)
    return FacePoints(
        id=face.id,
        face_index=face.face_index,
        limit_xyxy=grown_by_half(face.box),
        points68=points68,
        crop_points5=points5 if given is None else given,
        detector_points5=given,
        is_masked=is_masked,
    )


def _array(points: object) -> FloatArray | None:
    return None if points is None else np.array(points, dtype=np.float64)


def _as_they_are(points: FloatArray) -> FloatArray:
    return points
