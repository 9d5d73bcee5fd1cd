"""`run --workers 0`: everything in this process, one image after the other, without any queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import Engine

from common.errors import TransientError, UnfitError
from common.ledger.images import forget_sent, unsent
from common.ledger.jobs import close_job
from common.ledger.reports import count_images
from common.ledger.segments import Work, find_again
from common.pipeline import ChunkMessage, JobState
from common.settings import Settings
from producer.follow import OnTick
from producer.signals import Interrupted

log = logging.getLogger("maskmill.run")

_RETRY_AFTER_S = 5


def run_inline(
    engine: Engine,
    job: Work,
    record: Callable[[Callable[[], bool]], None],
    settings: Settings,
    on_tick: OnTick,
    *,
    fail_fast: bool,
) -> JobState:
    """Record every image, then work through them; returns the state in which the job ended.

    Raises:
        UnfitError: a model is missing or unfit.
        Interrupted: by a signal; the job can be continued.
    """
    # Imported here: no other command of the producer needs the libraries that work on pixels.
    from workers.chunk import process_chunk
    from workers.runtime import Runtime
    from workers.sources import KeptPictures

    try:
        record(lambda: False)
        runtime = Runtime(settings)
        while True:
            messages = [
                (stage, ChunkMessage(job.name, (ids[0],)))
                for stage, ids in unsent(engine, job.id, 1, desk=job.desk)
            ]
            if not messages:
                forget_sent(engine, job.id, desk=job.desk)
            kept = KeptPictures()
            while messages:
                stage, message = messages.pop()
                try:
                    messages += process_chunk(runtime, stage, message, kept)
                except TransientError as exc:
                    log.warning("%s; trying again in %d s", exc, _RETRY_AFTER_S)
                    time.sleep(_RETRY_AFTER_S)
            counts = count_images(engine, job.id, desk=job.desk)
            on_tick(counts, True)
            now = find_again(engine, job)
            if now is not None and now.state == "halted":
                raise UnfitError(now.error or "the job was halted")
            if counts.open == 0:
                close_job(engine, job.id, "done", desk=job.desk)
                return "done"
            if fail_fast and counts.failed:
                close_job(engine, job.id, "interrupted", desk=job.desk)
                return "interrupted"
    except Interrupted:
        close_job(engine, job.id, "interrupted", desk=job.desk)
        raise
