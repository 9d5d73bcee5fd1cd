"""What an image costs in SQL: `python -m benchmarks.ledger DATABASE_URL`, on an empty database.

Every step that the producer and the workers take with rows, for pictures with one face, one variant and three crops.
With `--status 1000000` instead: how long `maskmill status` asks a database with so many images and 60,000 chunks.
"""

from __future__ import annotations

import argparse
import statistics
import time

from sqlalchemy import Engine, text

from common.database import engine_for
from common.ledger.claims import claim
from common.ledger.images import NewImage, mark_sent, record_images, unsent
from common.ledger.jobs import RecordedJob, add_inputs, find_job, open_job
from common.ledger.reports import report
from common.ledger.results import recorded_artifacts, store_augmented, store_detections
from common.ledger.rows import ArtifactRow, AugmentedImage, ChunkTimes, DetectedImage, FaceRow, MaskRow
from common.models import Chunk
from common.options import JobOptions
from common.pipeline import ChunkMessage, Stage
from common.schema import upgrade
from producer.inputs import Input

_POINTS = [[round(100.12 + k, 2), round(90.37 + k, 2)] for k in range(68)]
_OWNER = "bench:1:1.00"
_PAGE = 5000


def main() -> None:
    """Print milliseconds an image, by step, for several sizes of chunk."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--chunk", type=int, nargs="*", default=[16, 64, 256])
    parser.add_argument("--status", type=int, metavar="ROWS", help="time `status` over so many image rows")
    arguments = parser.parse_args()
    upgrade(arguments.url)
    engine = engine_for(arguments.url)
    if arguments.status:
        _measure_status(engine, arguments.status)
        return
    print("ms an image by the clock (CPU of this process)")
    for number, size in enumerate(arguments.chunk):
        output = b"/bench%d" % number
        job, input_id = _open(engine, output)
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


def _open(engine: Engine, output: bytes) -> tuple[RecordedJob, int]:
    """A new job, and the row id of its input."""
    opened = open_job(
        engine, output=output, output_given=output, options=JobOptions(crop_styles=("buffalo",)),
        follow_symlinks=False, version="0",
    )  # fmt: skip
    (input_id,) = add_inputs(engine, opened, [Input("directory", b"in", b"/in")])
    job = find_job(engine, name=opened.name)
    assert job is not None
    return job, input_id


def _measure_status(engine: Engine, rows: int, chunks: int = 60_000, repeat: int = 7) -> None:
    """Print the median of what `status` asks for, with nine images in ten done and the rest in other states."""
    job, input_id = _open(engine, b"/status")
    for start in range(0, rows, _PAGE):
        names = [b"%04d/portrait_%08d.jpg" % (k // 5000, k) for k in range(start, min(rows, start + _PAGE))]
        record_images(engine, job.id, [NewImage(input_id, one, one[:-4], 30_000, 1, None) for one in names])
    now = time.time()
    with engine.begin() as connection:
        states = {"queued": 5, "detected": 6, "missed": 7, "failed": 8}
        cases = " ".join(f"WHEN {place} THEN '{state}'" for state, place in states.items())
        connection.execute(text(f"UPDATE images SET status = CASE id % 40 {cases} ELSE 'done' END"))
        connection.execute(
            text("UPDATE images SET error_code = 'truncated' WHERE status = 'failed' AND id % 3 = 0")
        )
        connection.execute(
            Chunk.__table__.insert(),
            [
                {
                    "job_id": job.id, "stage": ("detect", "augment")[k % 2], "worker": f"host:{k % 16}", "images": 33,
                    "faces": 40, "artifacts": 160, "undrawn": 1, "started_at": now - 3600 + k * 3600 / chunks,
                    "seconds": {f"part{one}": 0.123456 for one in range(24)},
                }
                for k in range(chunks)
            ],
        )  # fmt: skip
    if engine.dialect.name == "postgresql":
        # What the server's own autovacuum does some minutes later.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            report_times(engine, job, repeat, "before the first vacuum")
            connection.execute(text("VACUUM ANALYZE images"))
            connection.execute(text("VACUUM ANALYZE chunks"))
    report_times(engine, job, repeat, "as it stands")


def report_times(engine: Engine, job: RecordedJob, repeat: int, state: str) -> None:
    """Print how long the database takes for one `status`."""
    taken: list[float] = []
    for _ in range(repeat):
        start = time.perf_counter()
        found = report(engine, job)
        taken.append(time.perf_counter() - start)
    print(
        f"status, {found.counts.total} images, {state}: {statistics.median(taken):.3f} s "
        f"(best {min(taken):.3f} s)",
        flush=True,
    )


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
