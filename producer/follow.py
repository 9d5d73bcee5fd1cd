"""Following a job to its end: feed the queues, watch the counts, find what was lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from common.database import persistently
from common.errors import TransientError, UnfitError
from common.ledger.jobs import RecordedJob, close_job, find_job
from common.ledger.reports import Counts, count_images
from common.pipeline import JobState
from producer.feed import Feeder

log = logging.getLogger("maskmill.run")

_POLL_S = 0.2

OnTick = Callable[[Counts, bool], None]
"""Told the counts, and whether every image is recorded."""


@dataclass(frozen=True)
class Recording:
    """The enumeration that runs beside: it records images while the first ones are worked on."""

    thread: threading.Thread
    error: list[BaseException]

    @property
    def is_over(self) -> bool:
        """Every image is recorded."""
        return not self.thread.is_alive()

    def check(self) -> None:
        """Raise what ended the enumeration, if anything did."""
        if self.error:
            raise self.error[0]


def record_beside(work: Callable[[], object]) -> Recording:
    """Start the enumeration in a thread of its own."""
    error: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001 (raised again in the main thread)
            error.append(exc)

    thread = threading.Thread(target=run, name="scan", daemon=True)
    thread.start()
    return Recording(thread, error)


def follow(
    engine: Engine,
    job: RecordedJob,
    feeder: Feeder,
    recording: Recording,
    *,
    on_tick: OnTick,
    supervise: Callable[[], bool] = lambda: False,
    fail_fast: bool = False,
) -> JobState:
    """Feed and watch until every image is final; returns the state in which the job ended.

    Args:
        supervise: starts again what died; true makes lost messages be looked for.
        fail_fast: end as soon as one image has failed.

    Raises:
        UnfitError: a worker halted the job: a model is missing or unfit.
    """
    obstacle: str | None = None
    while True:
        recording.check()
        is_recorded = recording.is_over
        supervise()
        try:
            feeder.feed()
            lost = feeder.recover()
            if lost:
                log.warning("job %s: %d images were lost on the way and are sent again", job.name, lost)
        except TransientError as exc:
            log.warning("%s; going on as soon as it is back", exc)
            time.sleep(1.0)
        counts = persistently(lambda: count_images(engine, job.id))
        on_tick(counts, is_recorded)
        now = persistently(lambda: find_job(engine, name=job.name))
        if now is None:
            raise UnfitError(f"job {job.name} was removed from the database")
        if now.state == "halted":
            raise UnfitError(now.error or "a worker halted the job")
        if now.state != "running":
            return now.state
        if now.error != obstacle:
            obstacle = now.error
            log.warning("job %s: %s", job.name, obstacle or "going on")
        if is_recorded and counts.open == 0:
            persistently(lambda: close_job(engine, job.id, "done"))
            return "done"
        if fail_fast and counts.failed:
            return "running"
        time.sleep(_POLL_S)
