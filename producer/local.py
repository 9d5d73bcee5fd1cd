"""`maskmill run`: the whole job on this machine, no service needed."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator

from sqlalchemy import Engine

from common.database import engine_for, persistently, sqlite_url
from common.errors import TransientError
from common.files import sweep_temporaries
from common.ledger.images import forget_sent
from common.ledger.jobs import RecordedJob, find_job, resume_job
from common.ledger.references import ReferenceRow
from common.pipeline import JobState
from common.schema import is_current, upgrade
from common.settings import Settings
from producer.ahead import WorkerAhead
from producer.export import write_logs
from producer.follow import OnTick
from producer.inline import run_inline
from producer.locks import clear_traces, output_lock
from producer.plan import record_found
from producer.pooled import run_pooled
from producer.request import Request, enrol_references, first_image, make_output, open_or_continue
from producer.services import find_redis_server
from producer.signals import signals_ignored, stop_signals

log = logging.getLogger("maskmill.run")

DATABASE_NAME = b"maskmill.db"


def database_of(output: bytes) -> str:
    """The URL of the database of a `run` output."""
    return sqlite_url(os.fsdecode(os.path.join(output, DATABASE_NAME)))


def run_job(
    request: Request, settings: Settings, on_tick: OnTick, ahead: WorkerAhead | None = None
) -> tuple[Engine, RecordedJob, JobState]:
    """Run a job to its end on this machine; exports are written in any case.

    Args:
        ahead: a worker that has been started already.

    Returns:
        The database, the job as it stands now, and the state it ended in: not `done` where it stopped
        early and can be continued.

    Raises:
        UsageError, UnfitError: before anything is written, or where a worker cannot serve the job.
        Interrupted: after everything that was started has been stopped and the exports are written.
    """
    scanner = request.scanner(request.inputs)
    found = first_image(request, scanner)
    with _opened(request, settings) as (engine, references):
        opened = open_or_continue(engine, request, references)
        images = found
        if opened.inputs != request.inputs:
            # Prefixes have come: the enumeration that found the first image knows none.
            scanner = request.scanner(opened.inputs)
            images = request.select(scanner)

        def record(is_stopped: Callable[[], bool]) -> None:
            record_found(
                engine,
                opened.job,
                opened.input_ids,
                scanner,
                images,
                is_stopped=is_stopped,
                skip_existing=request.skip_existing,
            )
            scanner.skips.tell()

        state = _work(engine, opened.job, record, settings, on_tick, fail_fast=request.fail_fast, ahead=ahead)
    job = find_job(engine, name=opened.job.name)
    assert job is not None
    return engine, job, state


def run_recorded(engine: Engine, job: RecordedJob, settings: Settings, on_tick: OnTick) -> JobState:
    """Work on the open images of a recorded job on this machine, without looking for new ones.

    Raises:
        UsageError: another run holds the output.
        UnfitError: a worker cannot serve the job.
        Interrupted: as with `run_job`.
    """
    if job.scanned_at is None:
        log.warning("job %s: not every image is recorded; the same `run` command records the rest", job.name)
    with held_output(job.output):
        resume_job(engine, job)
        return _work(engine, job, lambda _is_stopped: None, settings, on_tick, fail_fast=False)


@contextlib.contextmanager
def _opened(request: Request, settings: Settings) -> Iterator[tuple[Engine, list[ReferenceRow]]]:
    """The output, held and cleared; its database, and the references that its job does not have yet.

    Everything is checked before anything is written. An output that is there already is held from the beginning:
    whoever has it may be making or upgrading its database just now.

    Raises:
        UsageError, UnfitError: as with `run_job`.
    """
    url = database_of(request.output)
    is_there = os.path.isdir(request.output)
    with contextlib.ExitStack() as stack:
        there = None
        if is_there:
            make_output(request.output)
            stack.enter_context(output_lock(request.output))
            if os.path.exists(os.path.join(request.output, DATABASE_NAME)):
                upgrade(url)
                there = engine_for(url)
        references = enrol_references(there, request, settings)
        if settings.worker_count > 0:
            find_redis_server()
        if not is_there:
            make_output(request.output)
            stack.enter_context(output_lock(request.output))
        stack.enter_context(_in_order(request.output))
        upgrade(url)
        yield engine_for(url), references


def upgrade_output(output: bytes) -> None:
    """Bring the database of a `run` output to the schema of this version, holding the output meanwhile.

    Raises:
        UsageError: a run holds it and has not brought it there yet.
        UnfitError: it does not answer or may not be changed.
    """
    url = database_of(output)
    if not is_current(url):
        with output_lock(output):
            upgrade(url)


@contextlib.contextmanager
def held_output(output: bytes) -> Iterator[None]:
    """The output is this process's alone, signals end the work in order, and old traces are gone."""
    with output_lock(output), _in_order(output):
        yield


@contextlib.contextmanager
def _in_order(output: bytes) -> Iterator[None]:
    """Signals end the work in order, and old traces are gone; the output is held already."""
    with stop_signals():
        if clear_traces(output):
            log.warning("an earlier run was killed: what it left is removed")
        sweep_temporaries(output, 0)
        yield


def _work(
    engine: Engine,
    job: RecordedJob,
    record: Callable[[Callable[[], bool]], None],
    settings: Settings,
    on_tick: OnTick,
    *,
    fail_fast: bool,
    ahead: WorkerAhead | None = None,
) -> JobState:
    # The queue of an earlier run is gone with it.
    forget_sent(engine, job.id)
    here = settings.model_copy(update={"database_url": database_of(job.output)})
    try:
        if settings.worker_count == 0:
            return run_inline(engine, job, record, here, on_tick, fail_fast=fail_fast)
        return run_pooled(engine, job, record, here, on_tick, fail_fast=fail_fast, ahead=ahead)
    finally:
        _end(engine, job, job.output)


def _end(engine: Engine, job: RecordedJob, output: bytes) -> None:
    """Write the exports and remove temporary files, whatever ended the run."""
    with signals_ignored():
        sweep_temporaries(output, 0)
        try:
            now = persistently(lambda: find_job(engine, name=job.name))
            if now is not None:
                write_logs(engine, now, output)
        except TransientError as exc:
            log.error("%s: logs.csv could not be written; run the same command again", exc)
