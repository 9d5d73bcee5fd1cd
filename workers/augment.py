"""The augment stage: decode once, find landmarks, draw every variant, cut every crop, write, store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from common.arrays import ImageBgr
from common.artifacts import PlannedArtifact, plan_artifacts
from common.database import persistently
from common.errors import ImageError
from common.escaping import escape
from common.files import AtomicWriter
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
from workers.artwork import find_points, make_artifacts
from workers.runtime import Runtime
from workers.sources import Sources, attempt, check_relative
from workers.times import PartTimes


def augment_chunk(
    runtime: Runtime, job: RecordedJob, images: Sequence[ClaimedImage], times: PartTimes
) -> None:
    """Write the artifacts of claimed images that are not there yet, and store their rows in one commit."""
    sources = Sources.of(job, runtime.settings)
    output = os.path.realpath(runtime.settings.local_path(job.output))
    augmented: list[AugmentedImage] = []
    failures: list[Failure] = []
    with times.part("sql"):
        recorded = persistently(lambda: recorded_artifacts(runtime.engine, [image.id for image in images]))
    with AtomicWriter(runtime.settings.durability) as writer:
        for image in images:

            def work(image: ClaimedImage = image) -> AugmentedImage:
                with writer.group():
                    image_bgr = sources.load(image, times)
                    there = recorded.get(image.id, set())
                    return augment_image(runtime, job, output, image, image_bgr, there, writer, times)

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
    )
    runtime.store(
        lambda: store_augmented(
            runtime.engine, job.id, augmented, failures, owner=runtime.owner, times=chunk_times
        )
    )


def augment_image(
    runtime: Runtime,
    job: RecordedJob,
    output: bytes,
    image: ClaimedImage,
    image_bgr: ImageBgr,
    there: set[bytes],
    writer: AtomicWriter,
    times: PartTimes,
) -> AugmentedImage:
    """Make the artifacts of one image and stage their files.

    Args:
        output: real path of the job's output on this machine.
        image_bgr: the decoded picture; stays as it is.
        there: paths of artifacts that exist already.
    """
    planned = plan_artifacts(job.options, image.stem, [face.face_index for face in image.faces])
    with times.part("landmarks"):
        faces = find_points(
            runtime.landmarker(job.options), image_bgr, image.faces, runtime.mask_judge(job.options)
        )
    artifacts: list[ArtifactRow] = []

    def stage(artifact: PlannedArtifact, data: bytes) -> None:
        with times.part("write"):
            writer.stage(_inside(output, artifact.path), data)
        artifacts.append(_row(artifact, data))

    missing = [artifact for artifact in planned if artifact.path not in there]
    masks = make_artifacts(job.options, image.relative_path, image_bgr, faces, missing, stage, times)
    points_68 = {face.id: face.points68.round(2).tolist() for face in faces}
    return AugmentedImage(image.id, tuple(masks), tuple(artifacts), points_68)


def _inside(output: bytes, path: bytes) -> bytes:
    """The absolute path of an artifact.

    Raises:
        ImageError: its folder leads out of the output, by its name or through a link.
    """
    check_relative(path)
    final = os.path.join(output, path)
    folder = os.path.realpath(os.path.dirname(final))
    if folder != output and not folder.startswith(output.rstrip(b"/") + b"/"):
        raise ImageError("outside-roots", f"a folder inside the output is expected, got {escape(folder)}")
    return final


def _row(artifact: PlannedArtifact, data: bytes) -> ArtifactRow:
    return ArtifactRow(
        position=artifact.position,
        kind=artifact.kind,
        variant=artifact.variant,
        face_index=artifact.face_index,
        crop_style=artifact.crop_style,
        path=artifact.path,
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
