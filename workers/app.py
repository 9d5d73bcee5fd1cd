"""The Celery app: `celery -A workers.app worker -Q detect,augment`, or `maskmill worker`.

The parent process opens nothing that does not survive a fork: no thread, no connection, no session, no ONNX Runtime
(spec/reliability.md §2; what it may load is in `workers.preloading`). Each child opens its own in `_runtime`.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from celery import Task, signals
from celery.utils.log import get_task_logger

from common.broker import make_app, send
from common.database import engine_for, persistently
from common.envelopes import REFUSAL_TASK
from common.errors import TransientError, UnfitError
from common.ledger.dead_letters import record_refusal
from common.ledger.jobs import close_job
from common.ledger.segments import find_work
from common.logs import configure_logging
from common.pipeline import TASK_NAMES, ChunkMessage, MessageRefused, Stage, read_message
from common.settings import read_settings
from common.starts import noted_start
from workers.sidecars import Sidecars

if TYPE_CHECKING:
    from workers.chunk import Onward
    from workers.runtime import Runtime
    from workers.sources import KeptPictures

    _ProcessChunk = Callable[[Runtime, Stage, ChunkMessage, KeptPictures | None], Onward]

log = get_task_logger("maskmill.worker")

_RETRY_AFTER_S = 10
"""A chunk that met a full disk or a database that is away is tried again after this."""

settings = read_settings()
app = make_app(settings)


@lru_cache(maxsize=1)
def _runtime_of(pid: int) -> Runtime:
    from workers.runtime import Runtime

    return Runtime(settings, pid)


def _runtime() -> Runtime:
    return _runtime_of(os.getpid())


_start_error: Exception | None = None
"""Why what works on chunks cannot be loaded."""


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    configure_logging(settings, process=True)


@signals.worker_init.connect
def _preload(**_: Any) -> None:
    """In the main process, before it forks."""
    global _start_error
    if app.conf.worker_pool_start_method == "spawn":
        return
    try:
        from workers.preloading import preload

        preload(settings, app.amqp.queues.consume_from)
    except Exception as exc:  # noqa: BLE001 (told by the children; a library may raise anything when it is loaded)
        _start_error = exc


@signals.worker_process_init.connect
def _warm_up(**_: Any) -> None:
    """Import and open what the tasks need while the main process still connects to the broker.

    Not sent in a threads pool: `_runtime` is lazy.
    """
    with noted_start():
        try:
            _load()
        except UnfitError as exc:
            # Each job that comes is halted with it: see `_work`.
            log.error("%s", exc)
            return
        from workers.warming import warm_up

        warm_up(_runtime(), app.amqp.queues.consume_from)


_sidecars = Sidecars(settings)


@signals.worker_ready.connect
def _start_sidecars(**_: Any) -> None:
    _sidecars.start()


@signals.heartbeat_sent.connect
def _check_sidecars(**_: Any) -> None:
    """Every two seconds, in the main process."""
    _sidecars.check()


@signals.worker_shutdown.connect
def _stop_sidecars(**_: Any) -> None:
    _sidecars.stop()


def _load() -> tuple[_ProcessChunk, type[KeptPictures]]:
    """What works on chunks, with all that it imports.

    Raises:
        UnfitError: something of it is missing or broken on this machine.
    """
    global _start_error
    if _start_error is None:
        try:
            from workers.chunk import process_chunk
            from workers.sources import KeptPictures

            return process_chunk, KeptPictures
        except Exception as exc:  # noqa: BLE001 (told below; a library may raise anything when it is loaded)
            # Kept: some libraries (OpenCV, NumPy) complain of the second attempt itself, and hide the cause.
            _start_error = exc
    raise UnfitError(
        f"the workers cannot be loaded on {socket.gethostname()}: {type(_start_error).__name__}: {_start_error}"
    ) from _start_error


def _work(stage: Stage, message: dict[str, Any]) -> None:
    """Work on a message; where this worker augments too, then on the chunk that follows from it at once.

    The message of `detect` is not acknowledged before both are done: if the process dies in between, it comes
    again, and hands on what is detected.
    """
    try:
        chunk = read_message(message.get("version"), message.get("job"), message.get("image_ids"))
    except MessageRefused as exc:
        _refuse(stage, exc, json.dumps(message))
        return
    try:
        process_chunk, pictures = _load()
    except UnfitError as exc:
        _halt(stage, chunk.job, str(exc))
        return
    if stage == "detect" and "augment" in app.amqp.queues.consume_from:
        rest: ChunkMessage | None = chunk
        while rest is not None:
            # Of large pictures as many at a time as find room: the others would be decoded twice.
            piece, rest = rest.split_off(_pictures_fitting)
            _do_both(process_chunk, piece, pictures())
    else:
        _do(process_chunk, stage, chunk)


_pictures_fitting: int | None = None
"""How many decoded pictures find room, by the last piece of work; None: any number, as far as is known."""


def _do_both(process_chunk: _ProcessChunk, piece: ChunkMessage, kept: KeptPictures) -> None:
    """Do `detect` and then `augment` on some images of a message, with pictures handed on."""
    global _pictures_fitting
    following = _do(process_chunk, "detect", piece, kept, keeps="augment")
    _pictures_fitting = kept.fitting()
    for onward in following:
        _do(process_chunk, "augment", onward, kept)


def _do(
    process_chunk: _ProcessChunk,
    stage: Stage,
    chunk: ChunkMessage,
    kept: KeptPictures | None = None,
    keeps: Stage | None = None,
) -> list[ChunkMessage]:
    """Do one stage of a chunk and send what follows from it, but for what goes to the stage `keeps`: that is returned."""
    following: list[ChunkMessage] = []
    try:
        for onward_stage, onward in process_chunk(_runtime(), stage, chunk, kept):
            if onward_stage == keeps:
                following.append(onward)
            else:
                send(app, onward_stage, onward)
    except MessageRefused as exc:
        _refuse(stage, exc, json.dumps(chunk.as_kwargs()))
    except TransientError as exc:
        # Sent anew instead of retried: a retry would carry the arguments and this text, with its paths, to
        # whoever watches the events.
        log.warning("%s; trying again in %d s", exc, _RETRY_AFTER_S)
        send(app, stage, chunk, after_s=_RETRY_AFTER_S)
    return following


def _refuse(stage: Stage, reason: MessageRefused, content: str) -> None:
    log.error("message refused: %s", reason)
    record_refusal(_runtime().engine, stage, str(reason), content)


def _halt(stage: Stage, name: str, reason: str) -> None:
    """End a job or segmentation that this worker cannot serve; whoever asks for it again sets it running."""
    engine = engine_for(settings.database_url)
    job = persistently(lambda: find_work(engine, stage, name))
    if job is not None:
        log.error("job %s halted: %s", name, reason)
        persistently(lambda: close_job(engine, job.id, "halted", reason, desk=job.desk))


# After a child died the message is sent again at most three times; images count their own deaths in SQL.
_TASK = {"max_retries": 3, "default_retry_delay": 5}


@app.task(name=TASK_NAMES["detect"], **_TASK)
def detect(**message: Any) -> None:
    """Find the faces of a chunk, then hand it on to `augment`."""
    _work("detect", message)


@app.task(name=REFUSAL_TASK, bind=True, **_TASK)
def refuse(task: Task, reason: str, content: str) -> None:
    """Write down what `common.envelopes` refused; it does not reach the queue's own task."""
    stage = task.request.delivery_info["routing_key"]
    log.error("message refused: %s", reason)
    record_refusal(_runtime().engine, stage, reason, content)


@app.task(name=TASK_NAMES["augment"], **_TASK)
def augment(**message: Any) -> None:
    """Draw the masks and cut the crops of a chunk."""
    _work("augment", message)


@app.task(name=TASK_NAMES["segment"], **_TASK)
def segment(**message: Any) -> None:
    """Make the maps of the faces of a chunk."""
    _work("segment", message)
