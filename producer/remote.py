"""`maskmill enqueue`: the same job on the configured broker and database."""

from __future__ import annotations

import logging
import time

from celery import Celery
from sqlalchemy import Engine

from common.broker import make_app
from common.checks import require_broker
from common.database import engine_for, persistently
from common.errors import TransientError
from common.ledger.jobs import RecordedJob, find_job
from common.ledger.reports import count_images
from common.ledger.segments import Work
from common.pipeline import JobState
from common.schema import require_current
from common.settings import Settings
from producer.feed import Feeder
from producer.follow import COUNT_SHARE, OnTick, Recording, follow
from producer.locks import output_lock
from producer.plan import record_found
from producer.reconcile import finish
from producer.request import Request, enrol_references, first_image, make_output, open_or_continue

log = logging.getLogger("maskmill.enqueue")

_POLL_S = 0.5
_FIRST_POLL_S = 0.02
"""Until the first images are recorded."""


def enqueue_job(
    request: Request, settings: Settings, on_tick: OnTick, *, wait: bool
) -> tuple[Engine, RecordedJob, JobState]:
    """Record and send a job; with `wait` follow it to its end and write its exports.

    Returns:
        The database, the job as it stands now, and its state: `running` when it was only sent.

    Raises:
        UsageError, UnfitError: before anything is written.
    """
    require_current(settings.database_url)
    app = make_app(settings)
    require_broker(app, settings)
    scanner = request.scanner(request.inputs)
    found = first_image(request, scanner)
    engine = engine_for(settings.database_url)
    references = enrol_references(engine, request, settings)
    make_output(request.output)
    with output_lock(request.output):
        opened = open_or_continue(engine, request, references)
        images = found
        if opened.inputs != request.inputs:
            # Prefixes have come: the enumeration that found the first image knows none.
            scanner = request.scanner(opened.inputs)
            images = request.select(scanner)
        recording = Recording(
            lambda is_stopped: record_found(
                engine,
                opened.job,
                opened.input_ids,
                scanner,
                images,
                is_stopped=is_stopped,
                skip_existing=request.skip_existing,
            )
        )
        state = _send(
            app, engine, opened.job, recording, settings, on_tick, wait=wait, fail_fast=request.fail_fast
        )
        scanner.skips.tell()
    job = find_job(engine, name=opened.job.name)
    assert job is not None
    return engine, job, state


def send_recorded(engine: Engine, job: Work, settings: Settings, on_tick: OnTick, *, wait: bool) -> JobState:
    """Send the open images of a recorded job or segmentation, without looking for new ones.

    Raises:
        UnfitError: the broker does not answer or may lose messages.
    """
    app = make_app(settings)
    require_broker(app, settings)
    return _send(
        app, engine, job, Recording(lambda _is_stopped: None), settings, on_tick, wait=wait, fail_fast=False
    )


def _send(
    app: Celery,
    engine: Engine,
    job: Work,
    recording: Recording,
    settings: Settings,
    on_tick: OnTick,
    *,
    wait: bool,
    fail_fast: bool,
) -> JobState:
    feeder = Feeder(app, engine, job, settings, workers=settings.worker_count)
    try:
        if not wait:
            return _feed_all(engine, job, feeder, recording, on_tick)
        return follow(
            engine,
            job,
            feeder,
            recording,
            on_tick=on_tick,
            finish=lambda: finish(engine, job, settings),
            fail_fast=fail_fast,
        )
    finally:
        recording.stop()
        feeder.stop()


def _feed_all(engine: Engine, job: Work, feeder: Feeder, recording: Recording, on_tick: OnTick) -> JobState:
    """Feed until every recorded image has a message; the queues hold no more than the high-water mark."""
    has_sent = False
    count_at = 0.0
    while True:
        recording.check()
        is_recorded = recording.is_over
        try:
            sent = feeder.feed()
        except TransientError as exc:
            log.warning("%s; going on as soon as it is back", exc)
            time.sleep(1.0)
            continue
        has_sent = has_sent or sent > 0
        is_over = is_recorded and sent == 0 and feeder.has_room
        start = time.monotonic()
        if is_over or start >= count_at:
            on_tick(persistently(lambda: count_images(engine, job.id, desk=job.desk)), is_recorded)
            count_at = time.monotonic() + (time.monotonic() - start) * (1 / COUNT_SHARE - 1)
        if is_over:
            return "running"
        if sent == 0:
            time.sleep(_POLL_S if has_sent else _FIRST_POLL_S)
