"""One chunk through one stage: message in, rows and files out, messages for what comes next."""

from __future__ import annotations

import contextlib
import logging
import time

from billiard.exceptions import SoftTimeLimitExceeded

from common.database import persistently
from common.errors import TransientError, UnfitError
from common.ledger.claims import ClaimedImage, Claims, claim, release
from common.ledger.jobs import close_job, note_obstacle
from common.ledger.results import store_failures
from common.ledger.rows import Failure
from common.ledger.segments import RecordedRun, Work, find_work
from common.pipeline import LARGEST_CHUNK, ChunkMessage, MessageRefused, Stage
from workers.augment import augment_chunk
from workers.detect import detect_chunk
from workers.runtime import Runtime
from workers.segment import segment_chunk
from workers.sources import KeptPictures
from workers.times import PartTimes

log = logging.getLogger("maskmill.worker")

_GIVE_BACK_S = 5.0
"""At least so long a database that is away is waited for, to give claims back."""

Onward = list[tuple[Stage, ChunkMessage]]
"""Messages that follow from a chunk, each with the stage whose queue it goes to."""


def process_chunk(
    runtime: Runtime, stage: Stage, message: ChunkMessage, kept: KeptPictures | None = None
) -> Onward:
    """Work on the images of a message that still wait for this stage.

    A message that comes twice, late or out of order changes nothing: only images that are in the right
    state and that nobody else holds are touched.

    Args:
        kept: carries pictures from `detect` to `augment`, where one process does both.

    Raises:
        MessageRefused: no such job.
        TransientError: database or disk are away; the claims are given back.
    """
    engine = runtime.engine
    times = PartTimes(runtime.between)
    with times.part("sql"):
        job = persistently(lambda: find_work(engine, stage, message.job))
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
    return onward + _work(runtime, stage, job, claims, times, kept)


def _work(
    runtime: Runtime, stage: Stage, job: Work, claims: Claims, times: PartTimes, kept: KeptPictures | None
) -> Onward:
    ready = list(claims.passed_on)
    held = [image.id for image in claims.images]
    if not held:
        return _for_augment(runtime, job, ready)
    try:
        ready += _do(runtime, stage, job, claims.images, times, kept)
    except UnfitError as exc:
        reason = str(exc)
        log.error("job %s halted: %s", job.name, reason)
        persistently(lambda: release(runtime.engine, held, runtime.owner, desk=job.desk))
        persistently(lambda: close_job(runtime.engine, job.id, "halted", reason, desk=job.desk))
        return []
    except SoftTimeLimitExceeded:
        # One that takes too long even alone is counted as a death: after some of them it is failed.
        return _take_apart(runtime, stage, job, held, "they took too long", as_death=len(held) == 1)
    except TransientError as exc:
        obstacle = str(exc)
        with contextlib.suppress(TransientError):
            # As long as there is time: a claim that is not given back holds until its lease ends.
            left_s = runtime.settings.soft_time_limit_s - (time.time() - times.started_at)
            persistently(
                lambda: release(runtime.engine, held, runtime.owner, desk=job.desk),
                for_s=max(_GIVE_BACK_S, left_s / 2),
            )
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
        persistently(lambda: release(runtime.engine, held, runtime.owner, desk=job.desk), for_s=5)
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
    return _for_augment(runtime, job, ready)


def _do(
    runtime: Runtime,
    stage: Stage,
    job: Work,
    images: list[ClaimedImage],
    times: PartTimes,
    kept: KeptPictures | None,
) -> list[int]:
    """The work of the stage; returns the images that now wait for `augment`."""
    if isinstance(job, RecordedRun):
        segment_chunk(runtime, job, images, times)
        return []
    if stage == "detect":
        return detect_chunk(runtime, job, images, times, kept)
    augment_chunk(runtime, job, images, times, kept)
    return []


def _take_apart(
    runtime: Runtime, stage: Stage, job: Work, held: list[int], reason: str, *, as_death: bool = False
) -> Onward:
    """Give a chunk's images back and send each again alone, so that the culprit is found."""
    log.warning("job %s: %d images are tried alone, since %s", job.name, len(held), reason)
    persistently(lambda: release(runtime.engine, held, runtime.owner, as_death=as_death, desk=job.desk))
    return [(stage, ChunkMessage(job.name, (image_id,))) for image_id in held]


def _for_augment(runtime: Runtime, job: Work, ids: list[int]) -> Onward:
    """A range of frames may be longer than a chunk: drawing takes longer than finding."""
    ids, size = sorted(ids), runtime.settings.chunk_size or LARGEST_CHUNK
    return [
        ("augment", ChunkMessage(job.name, tuple(ids[at : at + size]))) for at in range(0, len(ids), size)
    ]
