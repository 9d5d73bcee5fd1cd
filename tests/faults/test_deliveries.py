"""Messages that come twice, in reverse or too early; and those that somebody else wrote."""

from __future__ import annotations

import base64
import json
import os
import pickle
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.servers import RedisServer, wait_until
from tests.faults.trial import SLOW, Trial
from tests.unit.test_envelopes import message

THRICE = {"point": "send", "do": "thrice"}


@pytest.mark.parametrize("count", [32, pytest.param(1000, marks=pytest.mark.soak)])
def test_f12_every_message_sent_three_times_changes_nothing(
    make_trial: Callable[..., Trial], count: int
) -> None:
    trial = make_trial(count, faults=[THRICE])
    trial.cluster.enqueue(trial.expected.folder)
    assert trial.cluster.redis.depths()["detect"] >= 3 * count / 8
    trial.cluster.start_worker()
    findings = trial.end("F12", "every message sent three times", is_swept=True, disturbances="×3")
    assert findings.beyond_ideal == 0


@pytest.mark.soak
def test_f12_a_message_that_comes_back_after_the_end_changes_nothing(
    make_trial: Callable[..., Trial], redis_server: RedisServer
) -> None:
    trial = make_trial(32)
    trial.cluster.enqueue(trial.expected.folder)
    copies = redis_server.client.lrange("detect", 0, -1)
    trial.cluster.start_worker()
    trial.cluster.wait_done()
    redis_server.client.rpush("detect", *copies)
    trial.cluster.wait_drained()
    findings = trial.end("F12", "messages again after the end", is_swept=True, disturbances=str(len(copies)))
    assert findings.beyond_ideal == 0


@pytest.mark.soak
def test_f12_a_visibility_timeout_shorter_than_a_task_changes_nothing(
    make_trial: Callable[..., Trial],
) -> None:
    """Chunks of 8 s or so, delivered again after 5: the rows refuse the second worker."""
    trial = make_trial(32, faults=[{**SLOW, "seconds": 1.0}], visibility_timeout_s=5)
    trial.begin(workers=2, processes=1)
    trial.end("F12", "visibility timeout 5 s, tasks of 8 s", is_swept=True)


@pytest.mark.soak
def test_messages_in_reverse_order_change_nothing(
    make_trial: Callable[..., Trial], redis_server: RedisServer
) -> None:
    """Also those of the second stage before those of the first: they find nothing to do."""
    trial = make_trial(32, chunk_size=2)
    cluster = trial.cluster
    cluster.enqueue(trial.expected.folder)
    client = redis_server.client
    messages = client.lrange("detect", 0, -1)
    client.delete("detect")
    client.rpush("detect", *reversed(messages))
    ids = [row[0] for row in cluster.rows("SELECT id FROM images ORDER BY id")]
    push(client, "augment", {"version": 1, "job": cluster.job_name(), "image_ids": ids})
    cluster.start_worker(processes=1)
    findings = trial.end("F12", "messages in reverse, those of the second stage first", is_swept=True)
    assert findings.beyond_ideal == 0


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch marker-of-code-that-ran",)


def push(client: Any, queue: str, kwargs: object, args: object = (), **changes: Any) -> None:
    """Put a message into a queue by hand."""
    addressed = {"delivery_info": {"exchange": "", "routing_key": queue}}
    whole = message(
        kwargs, args, **{"headers": {"task": f"maskmill.{queue}"}, "properties": addressed, **changes}
    )
    client.lpush(queue, json.dumps(whole))


def test_f16_hostile_messages_are_refused_and_written_down(
    make_trial: Callable[..., Trial], redis_server: RedisServer, tmp_path: Path
) -> None:
    trial = make_trial(32)
    cluster = trial.cluster
    cluster.enqueue(trial.expected.folder)
    job = cluster.job_name()
    client = redis_server.client
    ours = {"version": 1, "job": job, "image_ids": [1]}
    refused: list[object] = [
        {**ours, "version": 99},
        {**ours, "job": "../../etc"},
        {**ours, "job": "00000000"},
        {**ours, "image_ids": ["../../etc/passwd"]},
        {**ours, "image_ids": [-1]},
        {**ours, "image_ids": [2**64]},
        {**ours, "image_ids": list(range(1, 5000))},
        {**ours, "image_ids": [True]},
        {**ours, "path": "/etc/passwd"},
        {"job": job, "image_ids": "1"},
        {**ours, "job": "x" * 1_000_000},
        {},
        [1, 2],
    ]
    for kwargs in refused:
        push(client, "detect", kwargs)
    pickled = base64.b64encode(pickle.dumps(([], {}, _Evil()))).decode()
    push(client, "detect", {}, **{"content-type": "application/x-python-serialize", "body": pickled})
    push(client, "detect", ours, headers={"task": "os.system"})
    push(client, "detect", ours, ["/etc/passwd"])
    push(client, "detect", ours, embedded={"chain": [{"task": "maskmill.detect"}]})
    push(client, "augment", {}, body=base64.b64encode(b"no json").decode())
    push(client, "augment", ours, headers={"task": "maskmill.augment", "eta": "tomorrow"})
    garbage = (
        b"no json at all",
        b"\xff\xfe\x00binary",
        b"[1, 2, 3]",
        b"{}",
        b'{"properties": {}}',
        b"[" * 5000,
    )
    for raw in garbage:
        client.lpush("detect", raw)
    hostile = len(refused) + 6 + len(garbage)
    # Well-formed, of this job, and about no image that it has.
    push(client, "detect", {**ours, "image_ids": [10**6, 10**7]})
    # Among what was delivered and not acknowledged, and long overdue.
    client.hset("unacked", "evil", b"no json")
    client.zadd("unacked_index", {"evil": 1.0})
    cluster.start_worker()
    cluster.wait_done()
    # The job may end while the last of the others are still being refused.
    wait_until(
        lambda: cluster.rows("SELECT count(*) FROM dead_letters")[0][0] >= hostile,
        "the refusals, " + cluster.tail(),
    )
    reasons = [row[0] for row in cluster.rows("SELECT reason FROM dead_letters")]
    assert len(reasons) == hostile, reasons
    assert all(0 < len(reason) < 2001 for reason in reasons)
    assert cluster.restarts == 0
    assert not list(tmp_path.rglob("marker-of-code-that-ran"))
    trial.end(
        "F16",
        "hostile messages",
        refused=hostile,
        disturbances=f"{hostile + 2} messages",
        notes=f"{len(reasons)} written down, {cluster.restarts} restarts of the worker",
    )


@pytest.mark.soak
def test_f16_rows_that_lead_out_of_the_roots_are_refused(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    trial = make_trial(32)
    cluster = trial.cluster
    cluster.enqueue(trial.expected.folder)
    outside = tmp_path / "outside.jpg"
    outside.write_bytes((trial.expected.folder / "p000000.jpg").read_bytes())
    changes = {b"p000001.jpg": b"../../../outside.jpg", b"p000002.jpg": os.fsencode(outside)}
    with sqlite3.connect(cluster.folder / "jobs.db") as connection:
        for old, new in changes.items():
            connection.execute(
                "UPDATE images SET relative_path = ?, size = NULL WHERE relative_path = ?", (new, old)
            )
        connection.execute(
            "UPDATE images SET stem = '../../escaped' WHERE relative_path = ?", (b"p000003.jpg",)
        )
        connection.execute("UPDATE images SET stem = CAST(stem AS BLOB)")
    connection.close()
    cluster.start_worker()
    cluster.wait_done()
    findings = cluster.check()
    assert findings.codes == {"outside-roots": 3}
    assert not list(tmp_path.rglob("escaped*"))


@pytest.mark.soak
def test_f16_a_message_of_50_mb_is_survived(
    make_trial: Callable[..., Trial], redis_server: RedisServer
) -> None:
    trial = make_trial(32)
    cluster = trial.cluster
    cluster.enqueue(trial.expected.folder)
    push(redis_server.client, "detect", {"version": 1, "job": "x" * 50_000_000, "image_ids": [1]})
    start = time.monotonic()
    cluster.start_worker()
    wait_until(lambda: cluster.rows("SELECT count(*) FROM dead_letters")[0][0] == 1, "the dead letter")
    trial.recovered.append(time.monotonic() - start)
    assert cluster.restarts == 0
    trial.end("F16", "a message of 50 MB", is_swept=True, refused=1, disturbances="1 message")
