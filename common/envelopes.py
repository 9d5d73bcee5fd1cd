"""A message as it lies in Redis, judged before Celery sees it: whoever reaches the broker can write one.

Celery ends its main process over bytes that are no JSON, takes a missing field for a lost connection, and
drops an unknown task or a body that it cannot read without a trace. So every message is looked at as bytes;
what we did not write is replaced by a message that tells of it, and ends as a row in `dead_letters`.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from common.pipeline import QUEUE_OF, TASK_NAMES, MessageRefused, Stage, read_message

MAX_BYTES = 100_000
"""Of a message; one of ours with 1024 ids has 30,000 at the most."""
REFUSAL_TASK = "maskmill.refuse"
_SHOWN_CHARS = 2000
_MAX_WAIT = timedelta(hours=1)
"""A message that is not to be begun before long would only occupy the queue."""

_Word = Annotated[str, Field(max_length=255)]
_Text = Annotated[str, Field(max_length=_SHOWN_CHARS)]
_Nothing = None | Annotated[list[Any], Field(max_length=0)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _DeliveryInfo(_Part):
    exchange: Literal[""]
    routing_key: _Word


class _Properties(_Part):
    delivery_tag: Annotated[str, Field(min_length=1, max_length=64)]
    delivery_info: _DeliveryInfo
    body_encoding: Literal["base64"]
    priority: Annotated[int, Field(ge=0, le=9)] = 0
    correlation_id: _Word
    reply_to: _Word | None = None


class _Headers(_Part):
    task: _Word
    id: Annotated[str, Field(min_length=1, max_length=64)]
    root_id: _Word | None
    parent_id: _Word | None = None
    retries: Annotated[int, Field(ge=0, le=100)]
    eta: AwareDatetime | None
    expires: None = None
    timelimit: Any = None
    # Of a chunk whose process died Celery writes them anew, with 1024 characters.
    kwargsrepr: _Text = ""
    argsrepr: _Text = ""
    shadow: None = None
    group: None = None
    compression: None = None
    stamped_headers: _Nothing = None


class _Envelope(_Part):
    body: str
    content_type: Annotated[Literal["application/json"], Field(alias="content-type")]
    content_encoding: Annotated[Literal["utf-8"], Field(alias="content-encoding")]
    headers: _Headers
    properties: _Properties


class _Callbacks(_Part):
    callbacks: _Nothing = None
    errbacks: _Nothing = None
    chain: _Nothing = None
    chord: None = None


class _Refusal(BaseModel):
    """The arguments of the task that writes a refusal down."""

    model_config = ConfigDict(strict=True, extra="forbid")

    reason: _Text
    content: _Text


_BODY: TypeAdapter[tuple[list[Any], dict[str, Any], _Callbacks]] = TypeAdapter(
    tuple[Annotated[list[Any], Field(max_length=0)], dict[str, Any], _Callbacks]
)


def admit(stage: Stage, raw: bytes) -> bytes:
    """Return a message of ours as it is, and for any other one that tells of it."""
    if len(raw) > MAX_BYTES:
        return _refusal(stage, f"a message has at most {MAX_BYTES} bytes, got {len(raw)}", raw)
    body = b""
    try:
        envelope = _Envelope.model_validate_json(raw)
        body = base64.b64decode(envelope.body, validate=True)
        _judge(stage, envelope, _BODY.validate_json(body)[1])
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return _refusal(stage, f"not a message of maskmill: {where}: {first['msg']}", body or raw)
    except (ValueError, MessageRefused) as exc:
        return _refusal(stage, str(exc), body or raw)
    return raw if envelope.headers.timelimit in (None, [None, None]) else _without_limits(raw)


def _without_limits(raw: bytes) -> bytes:
    """The message under the worker's own time limits; Celery would let those of the message overrule them."""
    message = json.loads(raw)
    message["headers"]["timelimit"] = [None, None]
    return json.dumps(message).encode()


def ids_of(raw: str | bytes, job: str) -> Sequence[int]:
    """The ids in a message of a job, as it lies in Redis; none where it is another's, or not one of ours."""
    try:
        kwargs = json.loads(base64.b64decode(json.loads(raw)["body"]))[1]
        message = read_message(**kwargs)
    except (ValueError, TypeError, LookupError, RecursionError, MessageRefused):
        return ()
    return message.image_ids if message.job == job else ()


def _judge(stage: Stage, envelope: _Envelope, kwargs: dict[str, Any]) -> None:
    """Refuse what is well-formed and yet not ours.

    Raises:
        MessageRefused: another task, queue or time, or arguments that the task does not take.
        ValidationError: arguments of a refusal that we did not write.
    """
    if envelope.properties.delivery_info.routing_key != stage:
        raise MessageRefused(f"a message in the queue {stage} must be addressed to it")
    eta = envelope.headers.eta
    if eta is not None and eta > datetime.now(UTC) + _MAX_WAIT:
        raise MessageRefused("a message must not wait for more than an hour")
    if envelope.headers.task == REFUSAL_TASK:
        _Refusal.model_validate(kwargs)
        return
    tasks = [TASK_NAMES[one] for one, queue in QUEUE_OF.items() if queue == stage]
    if envelope.headers.task not in tasks:
        raise MessageRefused(f"the task must be {' or '.join(tasks)}, got {envelope.headers.task!r:.80}")
    read_message(kwargs.get("version"), kwargs.get("job"), kwargs.get("image_ids"))
    if len(kwargs) != 3:
        raise MessageRefused("the arguments must be version, job and image_ids, and no more")


def _refusal(stage: Stage, reason: str, content: bytes) -> bytes:
    """A message for the task that records a refusal; texts are cut to a bounded length."""
    text = content[:_SHOWN_CHARS].decode("utf-8", "backslashreplace")[:_SHOWN_CHARS]
    kwargs = {"reason": reason[:_SHOWN_CHARS], "content": text}
    name = str(uuid.uuid4())
    embedded = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    body = base64.b64encode(json.dumps([[], kwargs, embedded]).encode()).decode()
    return json.dumps(
        {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": REFUSAL_TASK,
                "id": name,
                "root_id": name,
                "parent_id": None,
                "retries": 0,
                "eta": None,
                "argsrepr": "",
                "kwargsrepr": "a refused message",
            },
            "properties": {
                "correlation_id": name,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": stage},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    ).encode()
