"""The detect stage: decode a chunk in threads, find the faces of each image, store them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from common.arrays import ImageBgr
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedJob
from common.ledger.results import ChunkTimes, DetectedImage, Failure, store_detections
from workers.runtime import Runtime
from workers.selection import select_faces
from workers.sources import Sources, attempt
from workers.times import PartTimes

_BATCH_PIXELS = 32_000_000
"""Decoded pixels held for one call of the detector: about 100 MB."""


def detect_chunk(
    runtime: Runtime, job: RecordedJob, images: Sequence[ClaimedImage], times: PartTimes
) -> list[int]:
    """Find the faces of claimed images; returns the ids that now wait for the augment stage."""
    detector = runtime.detector(job.options)
    runtime.note_provider(job, detector.provider)
    detected: list[DetectedImage] = []
    failures: list[Failure] = []
    for batch in _decoded_batches(runtime, job, images, failures, times):
        pixels = [image_bgr for _, image_bgr in batch]
        with times.part("detect"):
            answers = detector.detect(pixels)
        for (image, image_bgr), answer in zip(batch, answers, strict=True):
            height, width = image_bgr.shape[:2]
            faces = select_faces(answer, width, height, job.options)
            detected.append(DetectedImage(image.id, width, height, faces))
    accepted = sum(face.face_index is not None for one in detected for face in one.faces)
    chunk_times = ChunkTimes("detect", len(images), accepted, 0, 0, times.started_at, times.seconds())
    return runtime.store(
        lambda: store_detections(
            runtime.engine, job.id, detected, failures, owner=runtime.owner, times=chunk_times
        )
    )


def _decoded_batches(
    runtime: Runtime,
    job: RecordedJob,
    images: Sequence[ClaimedImage],
    failures: list[Failure],
    times: PartTimes,
) -> Iterator[list[tuple[ClaimedImage, ImageBgr]]]:
    """Decoded images in batches of bounded size; while one batch is detected the next is decoded."""
    sources = Sources.of(job, runtime.settings)

    def load(image: ClaimedImage) -> ImageBgr | Failure:
        return attempt(job, image, lambda: sources.load(image, times))

    batch: list[tuple[ClaimedImage, ImageBgr]] = []
    waiting = deque(images)
    with ThreadPoolExecutor(runtime.decode_threads, thread_name_prefix="decode") as pool:
        running: deque[tuple[ClaimedImage, Future[ImageBgr | Failure]]] = deque()
        while waiting or running:
            while waiting and len(running) < runtime.decode_threads:
                image = waiting.popleft()
                running.append((image, pool.submit(load, image)))
            image, future = running.popleft()
            loaded = future.result()
            if isinstance(loaded, Failure):
                failures.append(loaded)
                continue
            batch.append((image, loaded))
            if sum(pixels.size // 3 for _, pixels in batch) > _BATCH_PIXELS:
                yield batch
                batch = []
    if batch:
        yield batch
