"""Find the faces of pictures, by a detector or by the boxes that the user gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from common.database import persistently
from common.images import ReducedImage
from common.ledger.boxes import GivenFace, boxes_of
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedJob
from workers.detectors.base import Detection, enlarged, rounded
from workers.detectors.boxes import clip_boxes, touching_image
from workers.runtime import Runtime
from workers.sources import Sources
from workers.turning import detect_turning

Batch = Sequence[tuple[ClaimedImage, ReducedImage]]
_PATHS_AT_ONCE = 16


class FaceFinder(Protocol):
    """Answers for the images of a batch, in order, in pixels of each whole image."""

    @property
    def batch(self) -> int:
        """The most images that are looked at together; 1 where batches do not pay."""

    def find(self, batch: Batch) -> list[Detection]:
        """Return the faces of each image."""


class ByDetector:
    """The detector that the job asks for, with turned pictures where it asks for them."""

    def __init__(self, runtime: Runtime, job: RecordedJob) -> None:
        """Open the detector, and write down on what it runs."""
        self._detector = runtime.detector(job.options)
        self._angles = job.options.rotate
        runtime.note_provider(job, self._detector.provider)

    @property
    def batch(self) -> int:
        """That of the network."""
        return self._detector.batch

    def find(self, batch: Batch) -> list[Detection]:
        """Return the faces of each image."""
        found = detect_turning(self._detector, [reduced.image_bgr for _, reduced in batch], self._angles)
        return [
            enlarged(one, reduced.factor, (reduced.width, reduced.height))
            for one, (_, reduced) in zip(found, batch, strict=True)
        ]


class ByGivenBoxes:
    """The boxes of `--boxes`, which the producer wrote into SQL."""

    batch = _PATHS_AT_ONCE

    def __init__(self, runtime: Runtime, job: RecordedJob, sources: Sources) -> None:
        """Take the job's place in SQL."""
        self._engine = runtime.engine
        self._job_id = job.id
        self._sources = sources

    def find(self, batch: Batch) -> list[Detection]:
        """Return the faces of each image; one without boxes has none."""
        paths = [self._sources.recorded_path(image) for image, _ in batch]
        boxes = persistently(lambda: boxes_of(self._engine, self._job_id, list(dict.fromkeys(paths))))
        return [
            as_detection(boxes.get(path, []), (reduced.width, reduced.height))
            for path, (_, reduced) in zip(paths, batch, strict=True)
        ]


def face_finder(runtime: Runtime, job: RecordedJob, sources: Sources) -> FaceFinder:
    """What finds the faces of a job.

    Raises:
        UnfitError: the detector's model is missing or unfit on this machine.
    """
    if job.options.detector == "manual":
        return ByGivenBoxes(runtime, job, sources)
    return ByDetector(runtime, job)


def as_detection(boxes: Sequence[GivenFace], size_wh: tuple[int, int]) -> Detection:
    """Return given boxes, highest score first, clipped to the image; those wholly outside are dropped."""
    if not boxes:
        return Detection(np.zeros((0, 4)), np.zeros(0), None)
    ranked = sorted(boxes, key=lambda one: -one.score)
    corners = np.array([(one.x1, one.y1, one.x2, one.y2) for one in ranked], dtype=np.float64)
    inside = touching_image(corners, size_wh)
    none = [[np.nan, np.nan]] * 5
    points = np.array([one.points_5 or none for one in ranked], dtype=np.float64)
    found = rounded(
        clip_boxes(corners[inside], size_wh),
        np.array([one.score for one in ranked], dtype=np.float64)[inside],
        points[inside] if any(one.points_5 for one in ranked) else None,
    )
    return replace(found, angles=np.array([one.angle for one in ranked], dtype=np.float64)[inside])
