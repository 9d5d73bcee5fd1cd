"""The Celery app: `celery -A workers.app worker -Q detect,augment`, or `maskmill worker`.

The parent process imports neither OpenCV nor ONNX Runtime nor dlib: it forks, and what they start does
not survive a fork (spec/reliability.md §2). Each child opens its own in `_runtime`.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from celery import Task, signals
from celery.utils.log import get_task_logger

from common.broker import make_app, send
from common.envelopes import REFUSAL_TASK
from common.errors import TransientError
from common.ledger.dead_letters import record_refusal
from common.logs import configure_logging
from common.pipeline import TASK_NAMES, ChunkMessage, MessageRefused, Stage, read_message
from common.settings import read_settings
from workers.sidecars import Sidecars

if TYPE_CHECKING:
    from workers.runtime import Runtime
    from workers.sources import KeptPictures

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


@signals.setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    configure_logging(settings, process=True)


@signals.worker_process_init.connect
def _warm_up(**_: Any) -> None:
    """Import and open what the tasks need while the main process still connects to the broker.

    Not sent in a threads pool: `_runtime` is lazy.
    """
    import workers.chunk  # noqa: F401
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


def _work(stage: Stage, message: dict[str, Any]) -> None:
    """Work on a message; where this worker augments too, then on the chunk that follows from it at once.

    The message of `detect` is not acknowledged before both are done: if the process dies in between, it comes
    again, and hands on what is detected.
    """
    from workers.sources import KeptPictures

    try:
        chunk = read_message(message.get("version"), message.get("job"), message.get("image_ids"))
    except MessageRefused as exc:
        _refuse(stage, exc, json.dumps(message))
        return
    if stage == "detect" and "augment" in app.amqp.queues.consume_from:
        kept = KeptPictures()
        for following in _do(stage, chunk, kept, keeps="augment"):
            _do("augment", following, kept)
    else:
        _do(stage, chunk)


def _do(
    stage: Stage, chunk: ChunkMessage, kept: KeptPictures | None = None, keeps: Stage | None = None
) -> list[ChunkMessage]:
    """Do one stage of a chunk and send what follows from it, but for what goes to the stage `keeps`: that is returned."""
    from workers.chunk import process_chunk

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
