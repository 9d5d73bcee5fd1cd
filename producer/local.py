"""`maskmill run`: the whole job on this machine, no service needed."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Literal

from celery import Celery
from sqlalchemy import Engine

from common.broker import make_app, queue_depths
from common.database import engine_for, persistently, sqlite_url, upgrade
from common.errors import TransientError, UnfitError
from common.files import sweep_temporaries
from common.ledger.images import forget_sent, unsent
from common.ledger.jobs import RecordedJob, close_job, find_job
from common.ledger.reports import count_images
from common.pipeline import ChunkMessage, JobState, Stage
from common.settings import Settings
from producer.export import write_logs
from producer.feed import Feeder
from producer.follow import OnTick, follow, record_beside
from producer.locks import clear_traces, output_lock, remove_record, write_record
from producer.plan import record_found
from producer.request import OpenedJob, Request, check_extension, first_image, make_output, open_or_continue
from producer.services import PrivateServices, find_redis_server

log = logging.getLogger("maskmill.run")

DATABASE_NAME = b"maskmill.db"

_RETRY_AFTER_S = 5
_DRAIN_S = 8.0
"""A second Ctrl-C ends the waiting."""


class Interrupted(KeyboardInterrupt):
    """SIGTERM or Ctrl-C: the job stops in order and can be continued."""


def database_of(output: bytes) -> str:
    """The URL of the database of a `run` output."""
    return sqlite_url(os.fsdecode(os.path.join(output, DATABASE_NAME)))


def run_job(request: Request, settings: Settings, on_tick: OnTick) -> tuple[Engine, RecordedJob, JobState]:
    """Run a job to its end on this machine; exports are written in any case.

    Returns:
        The database, the job as it stands now, and the state it ended in: `running` where it stopped
        early and can be continued.

    Raises:
        UsageError, UnfitError: before anything is written.
        Interrupted: after everything that was started has been stopped and the exports are written.
    """
    database_url = database_of(request.output)
    found = first_image(request)
    if os.path.exists(os.path.join(request.output, DATABASE_NAME)):
        upgrade(database_url)
        check_extension(engine_for(database_url), request)
    if settings.worker_count > 0:
        find_redis_server()
    make_output(request.output)
    with output_lock(request.output), _stop_signals():
        if clear_traces(request.output):
            log.warning("an earlier run was killed: what it left is removed")
        sweep_temporaries(request.output, 0)
        upgrade(database_url)
        engine = engine_for(database_url)
        opened = open_or_continue(engine, request)
        forget_sent(engine, opened.job.id, before=float("inf"))
        state: JobState = "running"
        try:
            scanner = request.scanner(opened.inputs)
            # A new job with the same inputs goes on with the enumeration that found the first image.
            images = found if opened.inputs == request.inputs else request.select(scanner.images())
            stopped = threading.Event()

            def record() -> None:
                record_found(engine, opened.job, opened.input_ids, scanner, images, is_stopped=stopped.is_set)
                scanner.skips.tell()

            work = _run_here if settings.worker_count == 0 else _run_with_workers
            try:
                state = work(engine, opened, request, settings, database_url, record, on_tick)
            finally:
                stopped.set()
        finally:
            _end(engine, opened.job, request.output)
    job = find_job(engine, name=opened.job.name)
    assert job is not None
    return engine, job, state


def _run_with_workers(
    engine: Engine,
    opened: OpenedJob,
    request: Request,
    settings: Settings,
    database_url: str,
    record: Callable[[], None],
    on_tick: OnTick,
) -> JobState:
    services = PrivateServices(settings, database_url, stages_here(settings))
    write_record(request.output, services.record)
    app = make_app(services.settings)
    try:
        recording = record_beside(record)
        services.start()
        # Half a minute of work may wait in the queues, no more: Ctrl-C should not find a full one.
        private = services.settings.model_copy(update={"high_water": max(8, 4 * settings.worker_count)})
        feeder = Feeder(app, engine, opened.job, private, workers=settings.worker_count)
        state = follow(
            engine,
            opened.job,
            feeder,
            recording,
            on_tick=on_tick,
            supervise=services.supervise,
            fail_fast=request.fail_fast,
        )
        if state != "done":
            _drain(engine, opened.job, app)
        return state
    except Interrupted:
        _drain(engine, opened.job, app)
        raise
    finally:
        with _signals_ignored():
            services.stop()
            remove_record(request.output)


def _drain(engine: Engine, job: RecordedJob, app: Celery) -> None:
    """Let the chunks that are under way end; no other is begun, since the job is not running any more.

    What takes longer is killed afterwards: its claims and temporary files are cleared by the next run.
    """
    persistently(lambda: close_job(engine, job.id, "interrupted"))
    deadline = time.monotonic() + _DRAIN_S
    try:
        while any(queue_depths(app).values()) and time.monotonic() < deadline:
            time.sleep(0.05)
    except TransientError as exc:
        log.warning("%s; what is under way is not waited for", exc)


def _run_here(
    engine: Engine,
    opened: OpenedJob,
    request: Request,
    settings: Settings,
    database_url: str,
    record: Callable[[], None],
    on_tick: OnTick,
) -> JobState:
    """Everything in this process, one image after the other, without any queue."""
    from workers.chunk import process_chunk
    from workers.runtime import Runtime

    record()
    runtime = Runtime(settings.model_copy(update={"database_url": database_url}))
    job = opened.job
    while True:
        messages = [(stage, ChunkMessage(job.name, (ids[0],))) for stage, ids in unsent(engine, job.id, 1)]
        if not messages:
            forget_sent(engine, job.id, before=float("inf"))
        while messages:
            stage, message = messages.pop()
            try:
                messages += process_chunk(runtime, stage, message)
            except TransientError as exc:
                log.warning("%s; trying again in %d s", exc, _RETRY_AFTER_S)
                time.sleep(_RETRY_AFTER_S)
        counts = count_images(engine, job.id)
        on_tick(counts, True)
        now = find_job(engine, name=job.name)
        if now is not None and now.state == "halted":
            raise UnfitError(now.error or "the job was halted")
        if counts.open == 0:
            close_job(engine, job.id, "done")
            return "done"
        if request.fail_fast and counts.failed:
            return "running"


def stages_here(settings: Settings) -> list[tuple[Stage | Literal["all"], int]]:
    """The workers that suit this machine, each as (stage, processes).

    Without a GPU one pool serves both stages, so that no process waits for the other stage; with GPUs
    one detection process per GPU feeds the others.
    """
    gpus = 0 if settings.device == "cpu" else len(list(Path("/dev").glob("nvidia[0-9]*")))
    if gpus == 0:
        return [("all", settings.worker_count)]
    return [("detect", 1 if settings.device.startswith("cuda") else gpus), ("augment", settings.worker_count)]


def _end(engine: Engine, job: RecordedJob, output: bytes) -> None:
    """Write the exports and remove temporary files, whatever ended the run."""
    with _signals_ignored():
        sweep_temporaries(output, 0)
        try:
            now = persistently(lambda: find_job(engine, name=job.name))
            if now is not None:
                write_logs(engine, now)
        except TransientError as exc:
            log.error("%s: logs.csv could not be written; run the same command again", exc)


@contextlib.contextmanager
def _stop_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise `Interrupted` in the main thread, once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    """While things are put in order a second Ctrl-C is not heard."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
