"""What is read out of the ledger: counts, rates, causes of failure, and rows in input order."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from sqlalchemy import Dialect, Engine, Executable, Row, bindparam, case, func, select

from common.database import reading
from common.ledger.desks import JOBS, SEGMENTATIONS, Desk
from common.ledger.jobs import RecordedJob
from common.ledger.videos import VideoCount, video_counts
from common.models import Chunk, Image
from common.pipeline import STAGES
from common.statements import Prepared

_PAGE = 1000
_RATE_WINDOW_S = 60.0
_PACE_CHUNKS = 8


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly a job gets on.

    Attributes:
        seconds_per_image: by the clock, in all stages.
        newest: the id of the latest chunk that says so.
    """

    seconds_per_image: float
    newest: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many images of a job are in each state."""

    queued: int = 0
    detected: int = 0
    done: int = 0
    missed: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All images recorded so far."""
        return self.open + self.final

    @property
    def open(self) -> int:
        """Images that are not in a final state."""
        return self.queued + self.detected

    @property
    def final(self) -> int:
        """Images in a final state."""
        return self.done + self.missed + self.failed


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job at a moment, for `status`.

    Attributes:
        undrawn: masks that were left out since the face could not be drawn well.
        workers: processes that worked on it since it was last started.
    """

    job: RecordedJob
    counts: Counts
    faces: int
    artifacts: int
    undrawn: int
    failures: dict[str, int]
    images_per_s: float | None
    eta_s: float | None
    workers: int
    videos: tuple[VideoCount, ...] = ()


def count_images(engine: Engine, head_id: int, *, desk: Desk = JOBS) -> Counts:
    """Images per state."""
    with reading(engine) as connection:
        return Counts(*_COUNTS[desk].run(connection, head=head_id).one())


def _counting(desk: Desk, _dialect: Dialect) -> Executable:
    # One count for each state: grouping a million rows by a text takes twice the time.
    work = desk.work.c
    mine = work[desk.head_column] == bindparam("head")
    return select(
        *(
            select(func.count()).select_from(desk.work).where(mine, work.status == state).scalar_subquery()
            for state in (one.name for one in fields(Counts))
        )
    )


_COUNTS = {desk: Prepared(partial(_counting, desk)) for desk in (JOBS, SEGMENTATIONS)}


def report(engine: Engine, job: RecordedJob) -> JobReport:
    """Everything that `status` shows of a job."""
    counts = count_images(engine, job.id)
    end = time.time() if job.state == "running" else (job.finished_at or time.time())
    # Images finished per second: of the last minute while the job runs, of its last run otherwise.
    start = max(job.started_at, end - _RATE_WINDOW_S) if job.state == "running" else job.started_at
    with reading(engine) as connection:
        # One walk through an index that has all of it (`chunks_totals`).
        done_by = connection.execute(
            select(
                Chunk.stage,
                Chunk.worker,
                func.sum(Chunk.faces),
                func.sum(Chunk.artifacts),
                func.sum(Chunk.undrawn),
                func.max(Chunk.started_at),
                func.sum(case((Chunk.started_at >= start, Chunk.images), else_=0)),
            )
            .where(Chunk.job_id == job.id, Chunk.stage.in_(STAGES))
            .group_by(Chunk.stage, Chunk.worker)
        ).all()
        failures = (
            connection.execute(
                select(Image.error_code, func.count().label("images"))
                .where(Image.job_id == job.id, Image.status == "failed")
                .group_by(Image.error_code)
                .order_by(func.count().desc())
            ).all()
            if counts.failed
            else ()
        )
    totals = dict.fromkeys(("faces", "artifacts", "undrawn", "finished"), 0)
    for stage, _, faces, artifacts, undrawn, _, finished in done_by:
        if stage == "detect":
            totals["faces"] += int(faces)
        else:
            for name, value in (("artifacts", artifacts), ("undrawn", undrawn), ("finished", finished)):
                totals[name] += int(value)
    rate = totals["finished"] / (end - start) if totals["finished"] and end > start else None
    return JobReport(
        job=job,
        counts=counts,
        faces=totals["faces"],
        artifacts=totals["artifacts"],
        undrawn=totals["undrawn"],
        failures={row.error_code: row.images for row in failures},
        images_per_s=rate,
        eta_s=counts.open / rate
        if rate and counts.open and job.scanned_at and job.state == "running"
        else None,
        workers=len({worker for _, worker, *_, latest, _ in done_by if latest >= job.started_at}),
        videos=tuple(video_counts(engine, job.id)) if any(one.kind == "video" for one in job.inputs) else (),
    )


def pace_of(engine: Engine, job_id: int) -> Pace | None:
    """What an image takes; None before any chunk. Medians of the latest chunks, summed over the stages.

    Of chunks of different sizes only the larger half counts: a process's first ones are small and slow.
    """
    seconds, newest = 0.0, 0
    with reading(engine) as connection:
        for stage in STAGES:
            latest = connection.execute(
                select(Chunk.id, Chunk.images, Chunk.seconds)
                .where(Chunk.job_id == job_id, Chunk.stage == stage)
                .order_by(Chunk.id.desc())
                .limit(_PACE_CHUNKS)
            ).all()
            if latest:
                least = max(row.images for row in latest) / 2
                telling = [row.seconds["total"] / row.images for row in latest if row.images >= least]
                seconds += statistics.median(telling)
                newest = max(newest, latest[0].id)
    return Pace(seconds, newest) if newest else None


def image_pages(engine: Engine, job: RecordedJob) -> Iterator[Sequence[Row[Any]]]:
    """All image rows in pages of bounded size: input after input, each sorted by relative path."""
    for one in job.inputs:
        last: bytes | None = None
        while True:
            page = (
                select(Image.__table__)
                .where(Image.input_id == one.id)
                .order_by(Image.relative_path)
                .limit(_PAGE)
            )
            if last is not None:
                page = page.where(Image.relative_path > last)
            with reading(engine) as connection:
                rows = connection.execute(page).all()
            if rows:
                yield rows
            if len(rows) < _PAGE:
                break
            last = rows[-1].relative_path


def rows_of(engine: Engine, table: Any, image_ids: Sequence[int], *order: Any) -> dict[int, list[Row[Any]]]:
    """Image id → its rows of another table, in order."""
    found: dict[int, list[Row[Any]]] = {}
    query = select(table.__table__).where(table.image_id.in_(image_ids)).order_by(table.image_id, *order)
    with reading(engine) as connection:
        for row in connection.execute(query):
            found.setdefault(row.image_id, []).append(row)
    return found
