"""Faces of several images are looked at together; an image that cannot be looked at fails alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from common.errors import TransientError
from common.images import ReducedImage
from common.ledger.claims import ClaimedFace, ClaimedImage
from workers.grouping import Waiting, make_ready
from workers.landmarks.base import Landmarks
from workers.times import PartTimes


class Landmarker:
    """Three faces like to be seen together; the face in a picture 13 pixels wide brings an error."""

    batch = 3

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.widths: list[list[int]] = []

    def find_all(self, images: list[Any]) -> list[Landmarks]:
        widths = [one.image_bgr.shape[1] for one in images]
        self.widths.append(widths)
        if 13 in widths:
            raise self.error
        return [
            Landmarks(
                np.full((len(one.boxes_xyxy), 68, 2), width), np.full((len(one.boxes_xyxy), 5, 2), width)
            )
            for one, width in zip(images, widths, strict=True)
        ]


def ready(landmarker: Landmarker, widths: list[int]) -> tuple[dict[int, float], list[tuple[int, str]]]:
    """Width of each image that is ready -> x of its first point; and the failures."""
    runtime: Any = SimpleNamespace(landmarker=lambda _: landmarker, mask_judge=lambda _: None)
    job: Any = SimpleNamespace(name="12345678", options=SimpleNamespace(crop_size=112))
    face = ClaimedFace(1, 0, (1.0, 1.0, 5.0, 5.0), None)
    images = [ClaimedImage(width, 1, b"x.jpg", b"x", None, None, 1, (face,)) for width in widths]
    failures: list[Any] = []

    def load(image: ClaimedImage) -> ReducedImage:
        return ReducedImage(np.zeros((8, image.id, 3), np.uint8), 1, image.id, 8)

    waiting = [Waiting(image, ()) for image in images]
    found = make_ready(runtime, job, load, waiting, failures, PartTimes())
    points = {one.image.id: float(one.seen.points[0].points68[0, 0]) for one in found}
    return points, [(failure.image_id, failure.code) for failure in failures]


def test_faces_are_looked_at_in_groups_and_given_back_in_order() -> None:
    landmarker = Landmarker(ValueError())
    points, failures = ready(landmarker, [20, 21, 22, 23])
    assert landmarker.widths == [[20, 21, 22], [23]]
    assert list(points.items()) == [(20, 20.0), (21, 21.0), (22, 22.0), (23, 23.0)]
    assert failures == []


@pytest.mark.parametrize(
    ("error", "code"), [(MemoryError(), "out-of-memory"), (ValueError("no"), "unexpected")]
)
def test_one_that_cannot_be_looked_at_fails_alone(error: Exception, code: str) -> None:
    landmarker = Landmarker(error)
    points, failures = ready(landmarker, [20, 13, 22, 23])
    assert landmarker.widths == [[20, 13, 22], [20], [13], [22], [23]]
    assert list(points) == [20, 22, 23]
    assert failures == [(13, code)]


def test_what_concerns_more_than_an_image_is_not_its_failure() -> None:
    with pytest.raises(TransientError):
        ready(Landmarker(TransientError("away")), [20, 13, 22])
