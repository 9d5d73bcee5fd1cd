"""One chunk through one stage: message in, rows and files out, messages for what comes next."""

from __future__ import annotations

import contextlib
import logging

from billiard.exceptions import SoftTimeLimitExceeded

from common.database import persistently
from common.errors import TransientError, UnfitError
from common.ledger.claims import Claims, claim, release
from common.ledger.jobs import RecordedJob, close_job, find_job, note_obstacle
from common.ledger.results import Failure, store_failures
from common.pipeline import ChunkMessage, MessageRefused, Stage
from workers.augment import augment_chunk
from workers.detect import detect_chunk
from workers.runtime import Runtime
from workers.times import PartTimes

log = logging.getLogger("maskmill.worker")

Onward = list[tuple[Stage, ChunkMessage]]
"""Messages that follow from a chunk, each with the stage whose queue it goes to."""


def process_chunk(runtime: Runtime, stage: Stage, message: ChunkMessage) -> Onward:
    """Work on the images of a message that still wait for this stage.

    A message that comes twice, late or out of order changes nothing: only images that are in the right
    state and that nobody else holds are touched.

    Raises:
        MessageRefused: no such job.
        TransientError: database or disk are away; the claims are given back.
    """
    engine = runtime.engine
    times = PartTimes(runtime.storing_s)
    runtime.storing_s = 0.0
    with times.part("sql"):
        job = persistently(lambda: find_job(engine, name=message.job))
        if job is None:
            raise MessageRefused(f"there is no job {message.job} in this database")
        if job.state != "running":
            log.info("job %s is %s: left alone", job.name, job.state)
            return []
        claims = persistently(
            lambda: claim(
                engine, job.id, stage, message, owner=runtime.owner, lease_s=runtime.settings.lease_s
            )
        )
    for image_id in claims.deadly:
        log.error("job %s image %d: failed, killed-worker", job.name, image_id)
    if claims.alone:
        log.warning("job %s: a process died over %d images, trying each alone", job.name, len(claims.alone))
    onward: Onward = [(stage, ChunkMessage(job.name, (image_id,))) for image_id in claims.alone]
    return onward + _work(runtime, stage, job, claims, times)


def _work(runtime: Runtime, stage: Stage, job: RecordedJob, claims: Claims, times: PartTimes) -> Onward:
    ready = list(claims.passed_on)
    held = [image.id for image in claims.images]
    if not held:
        return _for_augment(job, ready)
    try:
        if stage == "detect":
            ready += detect_chunk(runtime, job, claims.images, times)
        else:
            augment_chunk(runtime, job, claims.images, times)
    except UnfitError as exc:
        reason = str(exc)
        log.error("job %s halted: %s", job.name, reason)
        persistently(lambda: release(runtime.engine, held, runtime.owner))
        persistently(lambda: close_job(runtime.engine, job.id, "halted", reason))
        return []
    except SoftTimeLimitExceeded:
        # One that takes too long even alone is counted as a death: after some of them it is failed.
        return _take_apart(runtime, stage, job, held, "they took too long", as_death=len(held) == 1)
    except TransientError as exc:
        obstacle = str(exc)
        with contextlib.suppress(TransientError):
            persistently(lambda: release(runtime.engine, held, runtime.owner), for_s=5)
            persistently(lambda: note_obstacle(runtime.engine, job, obstacle), for_s=5)
        raise
    except Exception as exc:
        log.exception("job %s %s: unexpected error over %d images", job.name, stage, len(held))
        if len(held) > 1:
            return _take_apart(runtime, stage, job, held, "of an unexpected error")
        failure = Failure(held[0], "unexpected", f"{type(exc).__name__}: {exc}")
        persistently(lambda: store_failures(runtime.engine, stage, [failure], owner=runtime.owner))
        return []
    except BaseException:
        # The process is told to end.
        persistently(lambda: release(runtime.engine, held, runtime.owner), for_s=5)
        raise
    persistently(lambda: note_obstacle(runtime.engine, job, None))
    log.info(
        "job %s %s: images %d..%d, %d in %.2f s",
        job.name,
        stage,
        held[0],
        held[-1],
        len(held),
        times.seconds()["total"],
    )
    return _for_augment(job, ready)


def _take_apart(
    runtime: Runtime, stage: Stage, job: RecordedJob, held: list[int], reason: str, *, as_death: bool = False
) -> Onward:
    """Give a chunk's images back and send each again alone, so that the culprit is found."""
    log.warning("job %s: %d images are tried alone, since %s", job.name, len(held), reason)
    persistently(lambda: release(runtime.engine, held, runtime.owner, as_death=as_death))
    return [(stage, ChunkMessage(job.name, (image_id,))) for image_id in held]


def _for_augment(job: RecordedJob, ids: list[int]) -> Onward:
    return [("augment", ChunkMessage(job.name, tuple(sorted(ids))))] if ids else []
