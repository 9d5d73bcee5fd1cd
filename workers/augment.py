"""The augment stage: decode once, find landmarks, draw every variant, cut every crop, write, store."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from billiard.exceptions import SoftTimeLimitExceeded

from common.artifacts import PlannedArtifact, plan_artifacts
from common.database import persistently
from common.errors import ImageError, TransientError, UnfitError
from common.escaping import escape
from common.files import AtomicWriter
from common.images import ReducedImage
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedJob
from common.ledger.results import recorded_artifacts, store_augmented
from common.ledger.rows import ArtifactRow, AugmentedImage, ChunkTimes, Failure
from workers.artwork import make_artifacts, read_pictures, stored_points
from workers.facepoints import FacePoints, find_points_of_all
from workers.masks.reading import FaceReading
from workers.provenance import Origin
from workers.runtime import Runtime
from workers.sources import KeptPictures, attempt, check_relative
from workers.times import PartTimes

log = logging.getLogger("maskmill.worker")

_GROUP_PIXELS = 8_000_000
"""Decoded pixels held while the faces of several images wait to be looked at together: 24 MB."""


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

            def work(image: ClaimedImage = image, ready: Ready = ready) -> AugmentedImage:
                with writer.group():
                    there = recorded.get(image.id, set())
                    return augment_image(job, inside, image, ready, there, writer, times)

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
    job: RecordedJob,
    inside: Callable[[bytes], bytes],
    image: ClaimedImage,
    ready: Ready,
    there: set[bytes],
    writer: AtomicWriter,
    times: PartTimes,
) -> AugmentedImage:
    """Make the artifacts of one image and stage their files.

    Args:
        inside: gives the absolute path of an artifact.
        ready: the picture, unreduced, which stays as it is, and its faces.
        there: paths of artifacts that exist already.
    """
    planned = plan_artifacts(job.options, image.stem, [face.face_index for face in image.faces])
    artifacts: list[ArtifactRow] = []

    def stage(artifact: PlannedArtifact, data: bytes, pixel_hash: str | None) -> None:
        with times.part("write"):
            writer.stage(inside(artifact.path), data)
        artifacts.append(_row(artifact, data, pixel_hash))

    missing = [artifact for artifact in planned if artifact.path not in there]
    masks = make_artifacts(
        job.options,
        image.relative_path,
        ready.decoded.image_bgr,
        ready.points,
        missing,
        stage,
        times,
        Origin.of(job, image),
        ready.decoded.compression,
        ready.readings,
    )
    points_68 = {face.id: stored_points(face) for face in ready.points}
    return AugmentedImage(image.id, tuple(masks), tuple(artifacts), points_68)


@dataclass(frozen=True)
class Ready:
    """A decoded image, the points of its faces, and what masks on them start from, by the faces' index."""

    decoded: ReducedImage
    points: Sequence[FacePoints]
    readings: dict[int, FaceReading]


def _ready(
    runtime: Runtime,
    job: RecordedJob,
    load: Callable[[ClaimedImage], ReducedImage],
    images: Sequence[ClaimedImage],
    failures: list[Failure],
    times: PartTimes,
) -> Iterator[tuple[ClaimedImage, Ready]]:
    """The images in order with the points of their faces, found for as many together as the model likes."""
    batch = runtime.landmarker(job.options).batch
    group: list[tuple[ClaimedImage, ReducedImage]] = []
    for image in images:
        loaded = attempt(job, image, lambda image=image: load(image))  # type: ignore[misc]
        if isinstance(loaded, Failure):
            failures.append(loaded)
            continue
        group.append((image, loaded))
        faces = sum(len(one.faces) for one, _ in group)
        if faces >= batch or sum(decoded.width * decoded.height for _, decoded in group) > _GROUP_PIXELS:
            yield from _with_points(runtime, job, group, failures, times)
            group = []
    yield from _with_points(runtime, job, group, failures, times)


def _with_points(
    runtime: Runtime,
    job: RecordedJob,
    group: Sequence[tuple[ClaimedImage, ReducedImage]],
    failures: list[Failure],
    times: PartTimes,
) -> Iterator[tuple[ClaimedImage, Ready]]:
    """Find the points of all faces of a group; where that fails, image by image, so that one fails alone."""

    def find(some: Sequence[tuple[ClaimedImage, ReducedImage]]) -> list[Ready]:
        with times.part("landmarks"):
            found = find_points_of_all(
                runtime.landmarker(job.options),
                [(decoded.image_bgr, image.faces) for image, decoded in some],
                runtime.mask_judge(job.options),
            )
        with times.part("draw"):
            pictures = [(decoded.image_bgr, points) for (_, decoded), points in zip(some, found, strict=True)]
            readings = read_pictures(
                pictures if job.options.n_augmentations else [(p, ()) for p, _ in pictures]
            )
        return [
            Ready(decoded, points, own)
            for (_, decoded), points, own in zip(some, found, readings, strict=True)
        ]

    if len(group) > 1:
        try:
            found = find(group)
        except (TransientError, UnfitError, SoftTimeLimitExceeded):
            raise
        except Exception as exc:  # noqa: BLE001 (told with the image that it comes from)
            log.warning("job %s: %d images are looked at one by one: %s", job.name, len(group), exc)
        else:
            for (image, _), ready in zip(group, found, strict=True):
                yield image, ready
            return
    for one in group:
        alone = attempt(job, one[0], lambda one=one: find([one])[0])  # type: ignore[misc]
        if isinstance(alone, Failure):
            failures.append(alone)
        else:
            yield one[0], alone


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
