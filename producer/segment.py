"""`maskmill segment`: what is asked for becomes a row and tasks; here or on the configured broker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sqlalchemy import Engine

from common.files import sweep_temporaries
from common.ledger.images import forget_sent
from common.ledger.jobs import RecordedJob
from common.ledger.maps import has_maps
from common.ledger.segments import (
    RecordedRun,
    SegmentRequest,
    continue_run,
    find_run,
    leave_runs,
    open_run,
    unfinished_run,
)
from common.pipeline import JobState
from common.settings import Settings
from producer.chosen import Chosen
from producer.follow import OnTick
from producer.inline import run_inline
from producer.local import held_output
from producer.locks import output_lock
from producer.pooled import run_pooled
from producer.remote import send_recorded
from producer.services import find_redis_server
from producer.signals import signals_ignored
from producer.snapshots import write_snapshot


def segment_here(
    engine: Engine,
    job: RecordedJob,
    request: SegmentRequest,
    chosen: Chosen | None,
    settings: Settings,
    on_tick: OnTick,
) -> tuple[RecordedRun, JobState]:
    """Segment the job of a folder's own database on this machine, with services of its own.

    Args:
        chosen: the images it is confined to; None: all.

    Raises:
        UsageError: another run holds the output or the folder of the previews.
        UnfitError: a worker cannot serve it.
        Interrupted: after everything that was started has been stopped.
    """
    if settings.worker_count > 0:
        find_redis_server()
    with held_output(job.output), _held_previews(request.previews, job.output):
        run = begin(engine, job, request, chosen, settings)
        leave_runs(engine, job, but=run)
        # The queue of an earlier run is gone with it.
        forget_sent(engine, run.id, before=float("inf"), desk=run.desk)
        work = run_inline if settings.worker_count == 0 else run_pooled
        url = engine.url.render_as_string(hide_password=False)
        here = settings.model_copy(update={"database_url": url})
        state = work(engine, run, lambda _is_stopped: None, here, on_tick, fail_fast=False)
    return find_run(engine, run.name) or run, state


def segment_there(
    engine: Engine,
    job: RecordedJob,
    request: SegmentRequest,
    chosen: Chosen | None,
    settings: Settings,
    on_tick: OnTick,
    *,
    wait: bool,
) -> tuple[RecordedRun, JobState]:
    """Send a segmentation to the configured broker; with `wait` follow it to its end.

    Raises:
        UnfitError: the broker does not answer or may lose messages.
    """
    run = begin(engine, job, request, chosen, settings)
    state = send_recorded(engine, run, settings, on_tick, wait=wait)
    return find_run(engine, run.name) or run, state


def begin(
    engine: Engine,
    job: RecordedJob,
    request: SegmentRequest,
    chosen: Chosen | None,
    settings: Settings,
) -> RecordedRun:
    """Record a segmentation, or go on with the one of the same words; a snapshot comes before overwriting.

    Raises:
        UsageError: the snapshot cannot be written.
    """
    earlier = unfinished_run(engine, job, request)
    if earlier is not None:
        return continue_run(engine, earlier)
    if request.mode == "all" and has_maps(engine, job, request.masker):
        write_snapshot(engine, job, request.masker, settings)
    if chosen is None:
        return open_run(engine, job, request)
    return open_run(engine, job, request, chosen.image_ids, chosen.crops)


@contextlib.contextmanager
def _held_previews(previews: bytes | None, output: bytes) -> Iterator[None]:
    """The folder of the previews is this process's alone, and holds no half file in the end."""
    if previews is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        if previews != output:
            stack.enter_context(output_lock(previews))
        sweep_temporaries(previews, 0)
        try:
            yield
        finally:
            with signals_ignored():
                sweep_temporaries(previews, 0)
