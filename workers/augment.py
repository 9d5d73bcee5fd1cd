"""The augment stage: decode once, find landmarks, draw every variant, cut every crop, write, store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence

from common.artifacts import PlannedArtifact, plan_artifacts
from common.database import persistently
from common.errors import ImageError
from common.escaping import escape
from common.files import AtomicWriter
from common.images import ReducedImage
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedJob
from common.ledger.results import recorded_artifacts, store_augmented
from common.ledger.rows import ArtifactRow, AugmentedImage, ChunkTimes, Failure
from workers.artwork import File, make_artifacts, stored_points
from workers.grouping import Ready, Waiting, make_ready
from workers.provenance import Origin
from workers.runtime import Runtime
from workers.sources import KeptPictures, attempt, check_relative
from workers.times import PartTimes


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
    waiting = [Waiting(image, _missing(job, image, recorded.get(image.id, set()))) for image in images]
    with AtomicWriter(runtime.settings.durability) as writer:
        for ready in make_ready(runtime, job, load, waiting, failures, times):

            def work(ready: Ready = ready) -> AugmentedImage:
                with writer.group():
                    return augment_image(job, inside, ready, writer, times)

            outcome = attempt(job, ready.image, work)
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


def _missing(job: RecordedJob, image: ClaimedImage, there: set[bytes]) -> list[PlannedArtifact]:
    """The artifacts of an image that are not there yet."""
    planned = plan_artifacts(job.options, image.stem, [face.face_index for face in image.faces])
    return [artifact for artifact in planned if artifact.path not in there]


def augment_image(
    job: RecordedJob,
    inside: Callable[[bytes], bytes],
    ready: Ready,
    writer: AtomicWriter,
    times: PartTimes,
) -> AugmentedImage:
    """Make the artifacts of one image and stage their files.

    Args:
        inside: gives the absolute path of an artifact.
    """
    image, seen = ready.image, ready.seen
    artifacts: list[ArtifactRow] = []

    def stage(files: Sequence[File]) -> None:
        with times.part("write"):
            for file in files:
                writer.stage(inside(file.artifact.path), file.data)
        artifacts.extend(map(_row, files))

    masks = make_artifacts(
        job.options,
        image.relative_path,
        seen.decoded.image_bgr,
        seen.points,
        seen.missing,
        stage,
        times,
        Origin.of(job, image),
        seen.decoded.compression,
        ready.outfits,
        ready.drawn,
    )
    points_68 = {face.id: stored_points(face) for face in seen.points}
    return AugmentedImage(image.id, tuple(masks), tuple(artifacts), points_68)


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


def _row(file: File) -> ArtifactRow:
    artifact = file.artifact
    return ArtifactRow(
        position=artifact.position,
        kind=artifact.kind,
        variant=artifact.variant,
        face_index=artifact.face_index,
        crop_style=artifact.crop_style,
        path=artifact.path,
        size=len(file.data),
        sha256=hashlib.sha256(file.data).hexdigest(),
        pixel_hash=file.pixel_hash,
    )
