"""The detect stage: decode a chunk, find the faces of each image, store them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from common.images import ReducedImage
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedJob
from common.ledger.results import store_detections
from common.ledger.rows import ChunkTimes, DetectedImage, FaceRow, Failure
from workers.detectors.base import Detection
from workers.finding import face_finder
from workers.runtime import Runtime
from workers.selection import select_faces
from workers.sources import KeptPictures, Sources, attempt
from workers.times import PartTimes

_BATCH_PIXELS = 32_000_000
"""Decoded pixels held for one call of the detector: about 100 MB."""
_TOGETHER, _TOGETHER_PIXELS = 16, 4_000_000
"""Pictures, and their pixels, that go together through a detector that takes one at a time: 12 MB. Each step is done for
all of them before the next: after a run of the network nothing of another step's code is left in the processor's caches,
and reading its answers took three to seven times as long as in a row (docs/decisions.md)."""
_FILES_AHEAD = 2
_BATCHES_HELD = 4
"""Pictures of several sizes share no batch: of so many batches together some are full."""

_Loaded: TypeAlias = tuple[ClaimedImage, ReducedImage | Failure]
_Load: TypeAlias = Callable[[ClaimedImage], ReducedImage | Failure]


def detect_chunk(
    runtime: Runtime,
    job: RecordedJob,
    images: Sequence[ClaimedImage],
    times: PartTimes,
    kept: KeptPictures | None = None,
) -> list[int]:
    """Find the faces of claimed images; returns the ids that now wait for the augment stage.

    Args:
        kept: gets the pictures with faces, where this process does the augment stage next.
    """
    sources = runtime.sources(job, images)
    finder = face_finder(runtime, job, sources)
    judge = runtime.identity_judge(job)
    # Faces are compared with references at their full size.
    side = None if judge is not None else job.options.detect_side
    detected: list[DetectedImage] = []
    failures: list[Failure] = []
    for batch in _decoded_batches(runtime, job, sources, images, side, failures, times, finder.batch):
        with times.part("detect"):
            answers = finder.find(batch)
        for (image, reduced), answer in zip(batch, answers, strict=True):

            def select(answer: Detection = answer, reduced: ReducedImage = reduced) -> tuple[FaceRow, ...]:
                identify = None if judge is None else judge.of(reduced.image_bgr, answer)
                return select_faces(answer, reduced.width, reduced.height, job.options, identify)

            with times.part("identity" if judge is not None else "detect"):
                faces = attempt(job, image, select)
            if isinstance(faces, Failure):
                failures.append(faces)
                continue
            found = DetectedImage(image.id, reduced.width, reduced.height, faces)
            detected.append(found)
            if kept is not None and not found.is_missed:
                kept.keep(image.id, reduced)
    accepted = sum(face.face_index is not None for one in detected for face in one.faces)
    chunk_times = ChunkTimes(
        "detect",
        len(images),
        accepted,
        0,
        0,
        times.started_at,
        times.seconds(),
        times.cpu_seconds(),
    )
    return runtime.store(
        lambda: store_detections(
            runtime.engine, job.id, detected, failures, owner=runtime.owner, times=chunk_times
        )
    )


def _decoded_batches(
    runtime: Runtime,
    job: RecordedJob,
    sources: Sources,
    images: Sequence[ClaimedImage],
    side: int | None,
    failures: list[Failure],
    times: PartTimes,
    together: int,
) -> Iterator[list[tuple[ClaimedImage, ReducedImage]]]:
    """Decoded images in batches of bounded size.

    Args:
        together: the most images that the detector takes at once.
    """

    def load(image: ClaimedImage) -> ReducedImage | Failure:
        return attempt(job, image, lambda: sources.load_reduced(image, side, times))

    batch: list[tuple[ClaimedImage, ReducedImage]] = []
    most, most_pixels = (
        (_TOGETHER, _TOGETHER_PIXELS) if together == 1 else (together * _BATCHES_HELD, _BATCH_PIXELS)
    )
    if together == 1 and runtime.has_one_core:
        loading = _loaded_here(images, load, sources)
    else:
        # Decoding goes on while a batch is looked at.
        ahead = max(runtime.decode_threads, most // _BATCHES_HELD)
        loading = _loaded_ahead(images, load, runtime.decode_threads, ahead)
    for image, loaded in loading:
        if isinstance(loaded, Failure):
            failures.append(loaded)
            continue
        batch.append((image, loaded))
        pixels = sum(reduced.image_bgr.size // 3 for _, reduced in batch)
        if len(batch) == most or pixels > most_pixels:
            yield batch
            batch = []
    if batch:
        yield batch


def _loaded_ahead(images: Sequence[ClaimedImage], load: _Load, threads: int, ahead: int) -> Iterator[_Loaded]:
    """Each image loaded, in order; while one is looked at the next so many are decoded in threads."""
    waiting = deque(images)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        running: deque[tuple[ClaimedImage, Future[ReducedImage | Failure]]] = deque()
        while waiting or running:
            while waiting and len(running) < ahead:
                image = waiting.popleft()
                running.append((image, pool.submit(load, image)))
            image, future = running.popleft()
            yield image, future.result()


def _loaded_here(images: Sequence[ClaimedImage], load: _Load, sources: Sources) -> Iterator[_Loaded]:
    """Each image loaded in this thread, in order, while the system reads the files of the next two ahead.

    For a process with one core: a thread cost 7 to 9 % of the CPU of detection in portraits (docs/performance.md).
    """
    for ahead in images[1:_FILES_AHEAD]:
        sources.announce(ahead)
    for place, image in enumerate(images):
        if place + _FILES_AHEAD < len(images):
            sources.announce(images[place + _FILES_AHEAD])
        yield image, load(image)
