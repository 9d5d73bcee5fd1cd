"""Reconciling: SQL is the truth; what the queues lost is sent again, what is complete is finished."""

from __future__ import annotations

import logging
import os
import time

from celery import Celery
from sqlalchemy import Engine

from common.database import persistently
from common.errors import TransientError, UsageError
from common.files import sweep_temporaries
from common.ledger.images import count_open
from common.ledger.jobs import RecordedJob, close_job, find_job, running_job_names
from common.ledger.leases import drop_lease, take_lease
from common.ledger.segments import Work, find_run, running_run_names
from common.owner import this_owner
from common.settings import Settings
from producer.export import write_logs
from producer.feed import Feeder

log = logging.getLogger("maskmill.reconcile")

ELECTION = "reconcile"


class Reconciler:
    """Looks after all running jobs and segmentations of a database."""

    def __init__(self, engine: Engine, app: Celery, settings: Settings) -> None:
        self._engine = engine
        self._app = app
        self._settings = settings
        self._feeders: dict[str, Feeder] = {}

    def look(self) -> int:
        """Feed, repair and finish every running job and segmentation once; returns how many images were sent.

        A job whose producer still feeds it is left to that one, except for being finished.

        Raises:
            TransientError: the broker or the database is away.
        """
        sent = 0
        names = persistently(lambda: running_job_names(self._engine))
        for name in names:
            job = persistently(lambda name=name: find_job(self._engine, name=name))  # type: ignore[misc]
            if job is not None:
                sent += self._look_after(job)
        runs = persistently(lambda: running_run_names(self._engine))
        for name in runs:
            run = persistently(lambda name=name: find_run(self._engine, name))  # type: ignore[misc]
            if run is not None:
                sent += self._look_after(run)
        for gone in self._feeders.keys() - {*names, *runs}:
            del self._feeders[gone]
        return sent

    def _look_after(self, job: Work) -> int:
        is_whole = job.scanned_at is not None
        if is_whole and persistently(lambda: count_open(self._engine, job.id, desk=job.desk)) == 0:
            finish(self._engine, job, self._settings)
            return 0
        if job.name not in self._feeders:
            self._feeders[job.name] = Feeder(
                self._app, self._engine, job, self._settings, workers=self._settings.worker_count
            )
        feeder = self._feeders[job.name]
        feeder.recover()
        sent = 0
        while (fed := feeder.feed()) and feeder.has_room:
            sent += fed
        sent += fed
        if sent:
            log.info("job %s: %d images sent", job.name, sent)
        return sent


def finish(engine: Engine, work: Work, settings: Settings) -> None:
    """End a complete job (`finish_job`) or segmentation (leftovers of its previews, then its state).

    Raises:
        TransientError: the disk or the database is away.
    """
    if isinstance(work, RecordedJob):
        finish_job(engine, work, settings)
        return
    if work.request.previews is not None:
        sweep_temporaries(settings.local_path(work.request.previews), settings.time_limit_s)
    persistently(lambda: close_job(engine, work.id, "done", desk=work.desk))
    log.info("segmentation %s is done", work.name)


def finish_job(engine: Engine, job: RecordedJob, settings: Settings) -> None:
    """End a complete job: leftovers, `logs.csv` where this machine sees the output, then state and end time.

    The state comes last: a job that says `done` has its exports, whatever dies on the way.

    Raises:
        TransientError: the disk or the database is away; the job stays running until a later look.
    """
    output = settings.local_path(job.output)
    if not os.path.isdir(output):
        log.warning("job %s is done; its output is not on this machine: run `maskmill export`", job.name)
    else:
        # Older than any task can be: nobody writes them any more.
        sweep_temporaries(output, settings.time_limit_s)
        try:
            write_logs(engine, job, output)
        except UsageError as exc:
            log.warning("job %s is done, but %s; run `maskmill export %s`", job.name, exc, job.name)
    persistently(lambda: close_job(engine, job.id, "done"))
    log.info("job %s is done", job.name)


def reconcile_for_ever(
    reconciler: Reconciler,
    engine: Engine,
    every_s: float,
    *,
    is_elected: bool,
) -> None:
    """Look again and again; of several processes that are `is_elected` one does the work at a time."""
    owner = this_owner()
    try:
        while True:
            try:
                if not is_elected or persistently(
                    lambda: take_lease(engine, ELECTION, owner, 3 * every_s + 10)
                ):
                    reconciler.look()
            except TransientError as exc:
                log.warning("%s; looking again in %.0f s", exc, every_s)
            time.sleep(every_s)
    finally:
        if is_elected:
            persistently(lambda: drop_lease(engine, ELECTION, owner), for_s=2)
