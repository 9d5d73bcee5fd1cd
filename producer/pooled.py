"""`run` with worker processes: a private Redis, a pool, and this process that feeds and watches them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from celery import Celery
from sqlalchemy import Engine

from common.broker import make_app, queue_depths
from common.database import persistently
from common.errors import TransientError, UnfitError
from common.ledger.images import count_open, unsent
from common.ledger.jobs import close_job
from common.ledger.reports import count_images
from common.ledger.segments import RecordedRun, Work
from common.pipeline import JobState
from common.settings import Settings
from producer.ahead import WorkerAhead
from producer.feed import Feeder
from producer.follow import OnTick, Recording, follow
from producer.locks import remove_record, write_record
from producer.machine import WorkerPlan, plan_here
from producer.services import PrivateServices
from producer.signals import Interrupted, signals_ignored

log = logging.getLogger("maskmill.run")

_FIRST_IMAGE_POLL_S = 0.01
_FIRST_SIZES = (1, 2, 4)
"""Of each worker's first messages: the first files are there soon, and few are small."""
_DRAIN_S = 8.0
"""So long chunks under way may take to end; a second Ctrl-C ends the waiting."""
_WAITING_PER_WORKER = 4
"""Messages a worker that may wait: some seconds of work."""


def run_pooled(
    engine: Engine,
    job: Work,
    record: Callable[[Callable[[], bool]], None],
    settings: Settings,
    on_tick: OnTick,
    *,
    fail_fast: bool,
    ahead: WorkerAhead | None = None,
) -> JobState:
    """Record images and work on them at the same time; returns the state in which the job ended.

    Args:
        ahead: a worker that has been started already.

    Raises:
        UnfitError: a model is missing or unfit, or a service does not start.
        Interrupted: by a signal; the job can be continued.
    """
    recording = Recording(record)
    try:
        while not recording.is_over and not unsent(engine, job.id, 1, desk=job.desk):
            time.sleep(_FIRST_IMAGE_POLL_S)
        if recording.is_over and count_open(engine, job.id, desk=job.desk) == 0:
            # Nothing is left to do: no service is started.
            recording.check()
            on_tick(count_images(engine, job.id, desk=job.desk), True)
            close_job(engine, job.id, "done", desk=job.desk)
            return "done"
        return _follow_with_services(
            engine, job, recording, settings, on_tick, fail_fast=fail_fast, ahead=ahead
        )
    except Interrupted:
        persistently(lambda: close_job(engine, job.id, "interrupted", desk=job.desk))
        raise
    except UnfitError as exc:
        reason = str(exc)
        persistently(lambda: close_job(engine, job.id, "halted", reason, desk=job.desk))
        raise
    finally:
        with signals_ignored():
            recording.stop()


def _plans_for(job: Work, settings: Settings) -> Sequence[WorkerPlan]:
    """The workers that a job or segmentation needs here."""
    if isinstance(job, RecordedRun):
        return [WorkerPlan("augment", settings.worker_count, settings.device)]
    return plan_here(settings)


def _follow_with_services(
    engine: Engine,
    job: Work,
    recording: Recording,
    settings: Settings,
    on_tick: OnTick,
    *,
    fail_fast: bool,
    ahead: WorkerAhead | None,
) -> JobState:
    plans = _plans_for(job, settings)
    services = PrivateServices(settings, plans, ahead)
    write_record(job.output, services.record)
    try:
        services.start()
        app = make_app(services.settings)
        processes = sum(plan.processes for plan in plans)
        high_water = _WAITING_PER_WORKER * processes
        feeder = Feeder(
            app,
            engine,
            job,
            services.settings.model_copy(update={"high_water": high_water}),
            workers=processes,
            first_sizes=[size for size in _FIRST_SIZES for _ in range(processes)],
        )
        try:
            state = follow(
                engine,
                job,
                feeder,
                recording,
                on_tick=on_tick,
                supervise=services.supervise,
                fail_fast=fail_fast,
            )
        except Interrupted:
            _drain(engine, job, app)
            raise
        if state == "running":
            _drain(engine, job, app)
            return "interrupted"
        return state
    finally:
        with signals_ignored():
            services.stop()
            remove_record(job.output)


def _drain(engine: Engine, job: Work, app: Celery) -> None:
    """Let the chunks that are under way end; no other is begun, since the job is not running any more.

    What takes longer is killed afterwards: its claims and temporary files are cleared by the next run.
    """
    persistently(lambda: close_job(engine, job.id, "interrupted", desk=job.desk))
    deadline = time.monotonic() + _DRAIN_S
    try:
        while any(queue_depths(app).values()) and time.monotonic() < deadline:
            time.sleep(0.05)
    except TransientError as exc:
        log.warning("%s; what is under way is not waited for", exc)
