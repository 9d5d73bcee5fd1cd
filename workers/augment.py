"""The augment stage: decode once, find landmarks, draw every variant, cut every crop, write, store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from common.artifacts import PlannedArtifact, plan_artifacts
from common.database import persistently
from common.errors import ImageError
from common.escaping import escape
from common.files import AtomicWriter
from common.images import ReducedImage
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedJob
from common.ledger.results import (
    ArtifactRow,
    AugmentedImage,
    ChunkTimes,
    Failure,
    recorded_artifacts,
    store_augmented,
)
from workers.artwork import make_artifacts, stored_points
from workers.facepoints import FacePoints, find_points, find_points_of_all
from workers.provenance import Origin
from workers.runtime import Runtime
from workers.sources import KeptPictures, attempt, check_relative
from workers.times import PartTimes

_GROUP_PIXELS = 32_000_000
"""Decoded pixels held while the faces of several images wait for one batch: about 100 MB."""


def augment_chunk(
    runtime: Runtime,
    job: RecordedJob,
    images: Sequence[ClaimedImage],
    times: PartTimes,
    kept: KeptPictures | None = None,
) -> None:
    """Write the artifacts of claimed images that are not there yet, and store their rows in one commit.

    Args:
        kept: has pictures that this process decoded for the detect stage.
    """
    sources = runtime.sources(job, images)

    def load(image: ClaimedImage) -> ReducedImage:
        picture = None if kept is None else kept.take(image.id)
        return sources.load_whole(image, times) if picture is None else picture

    inside = Inside(os.path.realpath(runtime.settings.local_path(job.output)))
    augmented: list[AugmentedImage] = []
    failures: list[Failure] = []
    with times.part("sql"):
        recorded = persistently(lambda: recorded_artifacts(runtime.engine, [image.id for image in images]))
    with AtomicWriter(runtime.settings.durability) as writer:
        for image, ready in _ready(runtime, job, load, images, failures, times):

            def work(image: ClaimedImage = image, ready: _Ready | None = ready) -> AugmentedImage:
                with writer.group():
                    decoded = load(image) if ready is None else ready.decoded
                    there = recorded.get(image.id, set())
                    points = None if ready is None else ready.points
                    return augment_image(runtime, job, inside, image, decoded, there, writer, times, points)

            outcome = attempt(job, image, work)
            if isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                augmented.append(outcome)
        with times.part("write"):
            writer.commit()
    chunk_times = ChunkTimes(
        "augment",
        len(images),
        sum(len(image.faces) for image in images),
        sum(len(one.artifacts) for one in augmented),
        sum(mask.reason is not None for one in augmented for mask in one.masks),
        times.started_at,
        times.seconds(),
        times.cpu_seconds(),
    )
    runtime.store(
        lambda: store_augmented(
            runtime.engine, job.id, augmented, failures, owner=runtime.owner, times=chunk_times
        )
    )


def augment_image(
    runtime: Runtime,
    job: RecordedJob,
    inside: Callable[[bytes], bytes],
    image: ClaimedImage,
    decoded: ReducedImage,
    there: set[bytes],
    writer: AtomicWriter,
    times: PartTimes,
    points: Sequence[FacePoints] | None = None,
) -> AugmentedImage:
    """Make the artifacts of one image and stage their files.

    Args:
        inside: gives the absolute path of an artifact.
        decoded: the picture, unreduced; stays as it is.
        there: paths of artifacts that exist already.
        points: of its faces, where they were found together with those of other images.
    """
    planned = plan_artifacts(job.options, image.stem, [face.face_index for face in image.faces])
    faces = points
    if faces is None:
        with times.part("landmarks"):
            faces = find_points(
                runtime.landmarker(job.options),
                decoded.image_bgr,
                image.faces,
                runtime.mask_judge(job.options),
            )
    artifacts: list[ArtifactRow] = []

    def stage(artifact: PlannedArtifact, data: bytes, pixel_hash: str | None) -> None:
        with times.part("write"):
            writer.stage(inside(artifact.path), data)
        artifacts.append(_row(artifact, data, pixel_hash))

    missing = [artifact for artifact in planned if artifact.path not in there]
    masks = make_artifacts(
        job.options,
        image.relative_path,
        decoded.image_bgr,
        faces,
        missing,
        stage,
        times,
        Origin.of(job, image),
        decoded.compression,
    )
    points_68 = {face.id: [[x, y] for x, y in stored_points(face)] for face in faces}
    return AugmentedImage(image.id, tuple(masks), tuple(artifacts), points_68)


@dataclass(frozen=True)
class _Ready:
    """A decoded image with the points of its faces."""

    decoded: ReducedImage
    points: Sequence[FacePoints]


def _ready(
    runtime: Runtime,
    job: RecordedJob,
    load: Callable[[ClaimedImage], ReducedImage],
    images: Sequence[ClaimedImage],
    failures: list[Failure],
    times: PartTimes,
) -> Iterator[tuple[ClaimedImage, _Ready | None]]:
    """The images in order; for a landmark network with the points of their faces, found in full batches.

    A model that takes one face at a time gains nothing from waiting: its images come as they are.
    """
    batch = runtime.landmarker(job.options).batch
    if batch == 1:
        yield from ((image, None) for image in images)
        return
    group: list[tuple[ClaimedImage, ReducedImage]] = []
    for image in images:
        loaded = attempt(job, image, lambda image=image: load(image))  # type: ignore[misc]
        if isinstance(loaded, Failure):
            failures.append(loaded)
            continue
        group.append((image, loaded))
        faces = sum(len(one.faces) for one, _ in group)
        if faces >= batch or sum(decoded.width * decoded.height for _, decoded in group) > _GROUP_PIXELS:
            yield from _with_points(runtime, job, group, times)
            group = []
    yield from _with_points(runtime, job, group, times)


def _with_points(
    runtime: Runtime, job: RecordedJob, group: Sequence[tuple[ClaimedImage, ReducedImage]], times: PartTimes
) -> Iterator[tuple[ClaimedImage, _Ready]]:
    with times.part("landmarks"):
        found = find_points_of_all(
            runtime.landmarker(job.options),
            [(decoded.image_bgr, image.faces) for image, decoded in group],
            runtime.mask_judge(job.options),
        )
    for (image, decoded), points in zip(group, found, strict=True):
        yield image, _Ready(decoded, points)


class Inside:
    """Absolute paths of the artifacts of one chunk. Each folder is looked at once: resolving it for every file
    cost as much as writing a crop."""

    def __init__(self, output: bytes) -> None:
        """Take the real path of the job's output on this machine."""
        self._output = output
        self._checked: set[bytes] = set()

    def __call__(self, path: bytes) -> bytes:
        """The absolute path of an artifact.

        Raises:
            ImageError: its folder leads out of the output, by its name or through a link.
        """
        check_relative(path)
        final = os.path.join(self._output, path)
        given = os.path.dirname(final)
        if given not in self._checked:
            folder = os.path.realpath(given)
            if folder != self._output and not folder.startswith(self._output.rstrip(b"/") + b"/"):
                raise ImageError(
                    "outside-roots", f"a folder inside the output is expected, got {escape(folder)}"
                )
            self._checked.add(given)
        return final


def _row(artifact: PlannedArtifact, data: bytes, pixel_hash: str | None) -> ArtifactRow:
    return ArtifactRow(
        position=artifact.position,
        kind=artifact.kind,
        variant=artifact.variant,
        face_index=artifact.face_index,
        crop_style=artifact.crop_style,
        path=artifact.path,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        pixel_hash=pixel_hash,
    )
