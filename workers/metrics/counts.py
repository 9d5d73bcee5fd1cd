"""Images per state, counted no more often than the counting is worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, select

from common.models import Image
from common.pipeline import FINAL_STATES, OPEN_STATES

_COUNTING_SHARE = 0.05
"""Counting takes at most this part of the time."""


@dataclass(frozen=True)
class ImageCounts:
    """Images of one job: per state, those that took more than one attempt, and failures by cause."""

    states: Mapping[str, int]
    repeated: int
    failures: Mapping[str, int]


def count_images(connection: Connection, job_id: int) -> ImageCounts:
    """Count the images of a job; reads all its rows."""
    repeated = func.sum(case((Image.attempts > 1, 1), else_=0))
    rows = connection.execute(
        select(Image.status, func.count().label("images"), repeated.label("repeated"))
        .where(Image.job_id == job_id)
        .group_by(Image.status)
    ).all()
    failures = connection.execute(
        select(Image.error_code, func.count().label("images"))
        .where(Image.job_id == job_id, Image.status == "failed")
        .group_by(Image.error_code)
    ).all()
    return ImageCounts(
        {**dict.fromkeys((*OPEN_STATES, *FINAL_STATES), 0), **{row.status: row.images for row in rows}},
        sum(int(row.repeated) for row in rows),
        {row.error_code or "unknown": row.images for row in failures},
    )


class CountCache:
    """Counts of images, made anew only as often as their cost allows, and never for a job that has ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[int, tuple[object, float, ImageCounts]] = {}
        self._jobs = 1

    def of(self, connection: Connection, job: Any) -> ImageCounts:
        """The counts of a job, perhaps some time old while it runs."""
        fingerprint = (job.state, job.started_at, job.finished_at)
        kept = self._kept.get(job.id)
        if kept is not None and kept[0] == fingerprint:
            is_final = job.state == "done"
            if is_final or self._clock() < kept[1]:
                return kept[2]
        start = self._clock()
        counts = count_images(connection, job.id)
        end = self._clock()
        self._kept[job.id] = (fingerprint, end + (end - start) * self._jobs / _COUNTING_SHARE, counts)
        return counts

    def keep_only(self, job_ids: Iterable[int]) -> None:
        """Forget all other jobs; the time for counting is shared by these."""
        wanted = set(job_ids)
        self._jobs = max(1, len(wanted))
        self._kept = {job_id: kept for job_id, kept in self._kept.items() if job_id in wanted}
