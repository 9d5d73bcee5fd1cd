"""What an image costs in SQL: `python -m benchmarks.ledger DATABASE_URL`, on an empty database.

Every step that the producer and the workers take with rows, for pictures with one face, one variant and three crops.
"""

from __future__ import annotations

import argparse
import time

from sqlalchemy import text

from common.database import engine_for, upgrade
from common.ledger.claims import claim
from common.ledger.images import NewImage, mark_sent, record_images, unsent
from common.ledger.jobs import add_inputs, find_job, open_job
from common.ledger.reports import report
from common.ledger.results import (
    ArtifactRow,
    AugmentedImage,
    ChunkTimes,
    DetectedImage,
    FaceRow,
    MaskRow,
    recorded_artifacts,
    store_augmented,
    store_detections,
)
from common.options import JobOptions
from common.pipeline import ChunkMessage, Stage
from producer.inputs import Input

_POINTS = [[round(100.12 + k, 2), round(90.37 + k, 2)] for k in range(68)]
_OWNER = "bench:1:1.00"


def main() -> None:
    """Print milliseconds an image, by step, for several sizes of chunk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--chunk", type=int, nargs="*", default=[16, 64, 256])
    arguments = parser.parse_args()
    upgrade(arguments.url)
    engine = engine_for(arguments.url)
    print("ms an image by the clock (CPU of this process)")
    for number, size in enumerate(arguments.chunk):
        output = b"/bench%d" % number
        opened = open_job(
            engine, output=output, output_given=output, options=JobOptions(crop_styles=("buffalo",)),
            follow_symlinks=False, version="0",
        )  # fmt: skip
        (input_id,) = add_inputs(engine, opened, [Input("directory", b"in", b"/in")])
        job = find_job(engine, name=opened.name)
        assert job is not None
        steps: dict[str, list[float]] = {}

        def timed(name: str, steps: dict[str, list[float]] = steps):  # type: ignore[no-untyped-def]
            return _Timed(steps.setdefault(name, [0.0, 0.0]))

        with timed("record"):
            names = [b"d/%07d.jpg" % k for k in range(arguments.images)]
            record_images(engine, job.id, [NewImage(input_id, one, one[:-4], 1, 1, None) for one in names])
        for stage in ("detect", "augment"):
            _do_stage(engine, job, stage, size, timed)
        with timed("status"):
            report(engine, job)
        per = 1e3 / arguments.images
        cells = ", ".join(f"{name} {wall * per:.2f} ({cpu * per:.2f})" for name, (wall, cpu) in steps.items())
        whole = [sum(one[k] for one in steps.values()) * per for k in (0, 1)]
        print(f"chunks of {size}: {whole[0]:.2f} ({whole[1]:.2f}) = {cells}", flush=True)
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            stored = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
            print(f"{stored / arguments.images / len(arguments.chunk):.0f} bytes an image in the database")


class _Timed:
    def __init__(self, sums: list[float]) -> None:
        self._sums = sums

    def __enter__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self._sums[0] += time.perf_counter() - self._start[0]
        self._sums[1] += time.process_time() - self._start[1]


def _do_stage(engine, job, stage: Stage, size: int, timed) -> None:  # type: ignore[no-untyped-def]
    while True:
        with timed("feed"):
            waiting = [ids for which, ids in unsent(engine, job.id, 20 * size) if which == stage]
            if not waiting:
                return
            mark_sent(engine, waiting[0])
        for start in range(0, len(waiting[0]), size):
            ids = tuple(waiting[0][start : start + size])
            with timed("claim"):
                images = claim(
                    engine, job.id, stage, ChunkMessage(job.name, ids), owner=_OWNER, lease_s=60
                ).images
                recorded_artifacts(engine, ids)
            times = ChunkTimes(stage, len(ids), 1, 1, 0, time.time(), {"total": 1.0}, {})
            with timed("store"):
                if stage == "detect":
                    face = FaceRow(0, 0, "accepted", 1.5, 2.5, 90.5, 99.5, 0.9, _POINTS[:5])
                    found = [DetectedImage(image.id, 150, 150, (face,)) for image in images]
                    sent = store_detections(engine, job.id, found, [], owner=_OWNER, times=times)
                    mark_sent(engine, sent)
                else:
                    store_augmented(
                        engine, job.id, [_augmented(image) for image in images], [], owner=_OWNER, times=times
                    )
        if stage == "detect":
            with engine.begin() as connection:
                connection.execute(text("UPDATE images SET sent_at = NULL WHERE status = 'detected'"))


def _augmented(image) -> AugmentedImage:  # type: ignore[no-untyped-def]
    mask = MaskRow(
        0, 0, "surgical-blue", "surgical", "#aabbcc", 0.01, 1.5, None, None, "correct", "ab" * 16, 1.0, 2.0, 3.0,
        10, 20, 90, 95, [[k, k] for k in range(24)],
    )  # fmt: skip
    files = [
        ArtifactRow(
            k, "crop", 0, 0, style, image.stem + b"_aug0_" + style.encode() + b".jpg", 9000, f"{k:064}"
        )
        for k, style in enumerate(("buffalo", "original_cropping", "scale_shift", "full"))
    ]
    return AugmentedImage(image.id, (mask,), tuple(files), {image.faces[0].id: _POINTS})


if __name__ == "__main__":
    main()
