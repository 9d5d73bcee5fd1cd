"""Messages as bytes: ours pass unchanged, any other becomes one that tells of it."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.app.task import Context

from common.broker import make_app, send
from common.envelopes import MAX_BYTES, REFUSAL_TASK, admit, ids_of
from common.pipeline import ChunkMessage
from common.settings import Settings
from tests.conftest import PrivateRedis

OURS = {"version": 1, "job": "0123abcd", "image_ids": [3, 4]}


def message(kwargs: object = OURS, args: object = (), **changes: Any) -> dict[str, Any]:
    """A message as Celery 5.7 writes one; `changes` replace parts, those of a dictionary one by one."""
    name = str(uuid.uuid4())
    embedded = changes.pop("embedded", {"callbacks": None, "errbacks": None, "chain": None, "chord": None})
    whole: dict[str, Any] = {
        "body": base64.b64encode(json.dumps([args, kwargs, embedded]).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py", "task": "maskmill.detect", "id": name, "shadow": None, "eta": None, "expires": None,
            "group": None, "group_index": None, "retries": 0, "timelimit": [None, None], "root_id": name,
            "parent_id": None, "argsrepr": "", "kwargsrepr": "job 0123abcd images 3..4", "origin": "gen1@vm",
            "ignore_result": None, "replaced_task_nesting": 0, "stamped_headers": None, "stamps": {},
        },
        "properties": {
            "correlation_id": name, "reply_to": str(uuid.uuid4()), "delivery_mode": 2, "priority": 0,
            "delivery_info": {"exchange": "", "routing_key": "detect"}, "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }  # fmt: skip
    for key, value in changes.items():
        whole[key] = {**whole[key], **value} if isinstance(value, dict) else value
    return whole


def raw(*args: Any, **changes: Any) -> bytes:
    return json.dumps(message(*args, **changes)).encode()


def refusal_of(answer: bytes) -> dict[str, str]:
    """The arguments of the message that tells of a refusal."""
    whole = json.loads(answer)
    assert whole["headers"]["task"] == REFUSAL_TASK
    args, kwargs, _ = json.loads(base64.b64decode(whole["body"]))
    assert args == []
    return dict(kwargs)


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"headers": {"eta": in_hours(0.1), "retries": 3}},
        {"properties": {"delivery_info": {"exchange": "", "routing_key": "detect", "redelivered": True}}},
        {"headers": {"redelivered": True, "stamped_headers": []}},
    ],
)
def test_our_messages_pass_unchanged(changes: dict[str, Any]) -> None:
    ours = raw(**changes)
    assert admit("detect", ours) == ours


def work(**_: object) -> None:
    """Stands for the task of a stage."""


@pytest.mark.parametrize("count", [1, 16, 1024])
def test_what_celery_itself_sends_passes(private_redis: PrivateRedis, count: int) -> None:
    """As a task sends its next stage, and as the main process sends the chunk of a dead child again."""
    app = make_app(Settings(broker_url=private_redis.url))
    try:
        chunk = ChunkMessage("0123abcd", tuple(range(10**12, 10**12 + count)))
        send(app, "detect", chunk)
        send(app, "detect", chunk, after_s=10)
        task = app.task(work, name="maskmill.detect", max_retries=3)
        first = json.loads(private_redis.client.lindex("detect", -1))
        request = Context(
            {**first["headers"], "delivery_info": first["properties"]["delivery_info"]},
            args=[],
            kwargs=chunk.as_kwargs(),
        )
        task.signature_from_request(request, countdown=5, retries=1).apply_async()
        task.push_request(id="x", root_id="x", timelimit=[120, 90], delivery_info={"priority": 0})
        send(app, "detect", chunk)
        task.pop_request()
    finally:
        app.close()
    sent = private_redis.client.lrange("detect", 0, -1)
    assert len(sent) == 4
    for one in sent:
        assert admit("detect", one) == one
        assert ids_of(one, chunk.job) == chunk.image_ids


def test_a_message_cannot_bring_its_own_time_limit() -> None:
    whole = message(headers={"timelimit": [1e9, 1e9]})
    answer = json.loads(admit("detect", json.dumps(whole).encode()))
    assert answer["headers"]["timelimit"] == [None, None]
    whole["headers"]["timelimit"] = [None, None]
    assert answer == whole


HOSTILE: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"no json at all", "Invalid JSON"),
    "no text": (b"\xff\xfe\x00binary", "Invalid JSON"),
    "a list": (b"[1, 2, 3]", "object"),
    "nothing": (b"{}", "Field required"),
    "deep": (b"[" * 90_000, "recursion"),
    "no properties": (b'{"properties": {}}', "Field required"),
    "too long": (raw({**OURS, "job": "x" * MAX_BYTES}), "at most 100000 bytes"),
    "another task": (raw(headers={"task": "os.system"}), "the task must be maskmill.detect"),
    "the other stage's task": (raw(headers={"task": "maskmill.augment"}), "the task must be"),
    "pickle": (raw(**{"content-type": "application/x-python-serialize"}), "application/json"),
    "compressed": (raw(headers={"compression": "application/x-gzip"}), "compression"),
    "a body that is no JSON": (raw(body=base64.b64encode(b"no json").decode()), "Invalid JSON"),
    "a body that is no base64": (raw(body="???"), "base64"),
    "positional arguments": (raw(OURS, ["/etc/passwd"]), "0"),
    "an argument too many": (raw({**OURS, "path": "/etc/passwd"}), "arguments must be"),
    "arguments that are no dictionary": (raw([1]), "object"),
    "another version": (raw({**OURS, "version": 99}), "version must be 1"),
    "ids that are paths": (raw({**OURS, "image_ids": ["../../etc/passwd"]}), "64-bit"),
    "a chain": (raw(embedded={"callbacks": None, "errbacks": None, "chain": [{}], "chord": None}), "chain"),
    "a callback": (raw(embedded={"callbacks": [{}], "errbacks": None, "chain": None, "chord": None}), "call"),
    "a time that is none": (raw(headers={"eta": "tomorrow"}), "eta"),
    "a time far away": (raw(headers={"eta": in_hours(24)}), "more than an hour"),
    "another queue's": (
        raw(properties={"delivery_info": {"exchange": "", "routing_key": "evil"}}),
        "addressed",
    ),
    "a tag that is none": (raw(properties={"delivery_tag": {"a": 1}}), "delivery_tag"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_we_did_not_write_is_replaced_by_a_message_that_tells_of_it(name: str) -> None:
    hostile, reason = HOSTILE[name]
    answer = admit("detect", hostile)
    refusal = refusal_of(answer)
    assert reason in refusal["reason"]
    assert refusal.keys() == {"reason", "content"}
    assert len(answer) < 20_000
    assert admit("detect", answer) == answer, "it passes when it is delivered again"


def test_a_refusal_shows_the_arguments_and_not_the_envelope() -> None:
    refusal = refusal_of(admit("detect", raw({**OURS, "path": "/etc/passwd"})))
    assert '"path": "/etc/passwd"' in refusal["content"]


def test_the_ids_of_a_message_are_read_without_celery() -> None:
    job = str(OURS["job"])
    assert ids_of(raw(), job) == (3, 4)
    assert ids_of(raw(), "00000000") == (), "ids of another job, or of a segmentation, are other rows"
    for other, _ in HOSTILE.values():
        assert isinstance(ids_of(other, job), tuple)
    assert ids_of(b"\xff", job) == ids_of(b"[]", job) == ids_of("{}", job) == ()


def test_a_segmentation_comes_through_the_queue_of_augment_only() -> None:
    in_augment = {"delivery_info": {"exchange": "", "routing_key": "augment"}}
    message = raw(headers={"task": "maskmill.segment"}, properties=in_augment)
    assert admit("augment", message) == message
    assert (
        "the task must be" in refusal_of(admit("detect", raw(headers={"task": "maskmill.segment"})))["reason"]
    )
