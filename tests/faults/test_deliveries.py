"""Messages that come twice, in reverse, too early, or from somebody else."""

from __future__ import annotations

import base64
import json
import os
import pickle
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Expected
from tests.faults.servers import RedisServer, wait_until

THRICE = {"point": "send", "do": "thrice"}


@pytest.mark.parametrize("count", [32, pytest.param(1000, marks=pytest.mark.soak)])
def test_f12_every_message_sent_three_times_changes_nothing(
    make_cluster: Callable[..., Cluster],
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
    count: int,
) -> None:
    expected = undisturbed(count)
    cluster = make_cluster(faults=[THRICE])
    cluster.enqueue(expected.folder)
    assert cluster.redis.depths()["detect"] >= 3 * count / 8
    cluster.start_worker()
    cluster.wait_done(300)
    findings = cluster.check()
    assert findings.states == {"done": count}
    assert findings.tree_hash == expected.tree_hash
    if count > 100:
        note_figures(
            "F12",
            "every message sent three times",
            images=count,
            disturbances="×3",
            lost=cluster.lost(),
            beyond_ideal=findings.beyond_ideal,
            more_starts=findings.more_starts,
            orphans=findings.temporaries,
        )


@pytest.mark.soak
def test_f12_a_message_that_comes_back_after_the_end_changes_nothing(
    make_cluster: Callable[..., Cluster], redis_server: RedisServer, undisturbed: Callable[[int], Expected]
) -> None:
    expected = undisturbed(32)
    cluster = make_cluster()
    cluster.enqueue(expected.folder)
    copies = redis_server.client.lrange("detect", 0, -1)
    cluster.start_worker()
    cluster.wait_done()
    redis_server.client.rpush("detect", *copies)
    cluster.wait_drained()
    findings = cluster.check()
    assert findings.tree_hash == expected.tree_hash
    assert findings.beyond_ideal == 0


@pytest.mark.soak
def test_f12_a_visibility_timeout_shorter_than_a_task_changes_nothing(
    make_cluster: Callable[..., Cluster],
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
) -> None:
    """Chunks of 8 s or so, delivered again after 5: the rows refuse the second worker."""
    expected = undisturbed(32)
    slow = {"point": "decode", "when": "after", "do": "sleep", "seconds": 1.5}
    cluster = make_cluster(faults=[slow], visibility_timeout_s=5)
    cluster.enqueue(expected.folder)
    cluster.start_worker(processes=1)
    cluster.start_worker(processes=1)
    cluster.wait_done(300)
    findings = cluster.check()
    assert findings.states == {"done": 32}
    assert findings.tree_hash == expected.tree_hash
    note_figures(
        "F12",
        "visibility timeout 5 s, tasks of 8 s",
        images=32,
        disturbances="",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        orphans=findings.temporaries,
    )


@pytest.mark.soak
def test_messages_in_reverse_order_change_nothing(
    make_cluster: Callable[..., Cluster], redis_server: RedisServer, undisturbed: Callable[[int], Expected]
) -> None:
    """Also those of the second stage before those of the first: they find nothing to do."""
    expected = undisturbed(32)
    cluster = make_cluster(chunk_size=2)
    cluster.enqueue(expected.folder)
    client = redis_server.client
    messages = client.lrange("detect", 0, -1)
    client.delete("detect")
    client.rpush("detect", *reversed(messages))
    ids = [row[0] for row in cluster.rows("SELECT id FROM images ORDER BY id")]
    push(client, "augment", {"version": 1, "job": cluster.job_name(), "image_ids": ids})
    cluster.start_worker(processes=1)
    cluster.wait_done()
    findings = cluster.check()
    assert findings.states == {"done": 32}
    assert findings.tree_hash == expected.tree_hash
    assert findings.beyond_ideal == 0


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch marker-of-code-that-ran",)


def envelope(queue: str, kwargs: object, **changes: object) -> dict[str, Any]:
    """A message as Celery writes it."""
    body = base64.b64encode(json.dumps([[], kwargs, {}]).encode()).decode()
    name = str(uuid.uuid4())
    headers = {
        "lang": "py",
        "task": f"maskmill.{queue}",
        "id": name,
        "root_id": name,
        "retries": 0,
        "eta": None,
    }
    message: dict[str, Any] = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": {
            "correlation_id": name,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    for key, value in changes.items():
        message[key] = {**message[key], **value} if isinstance(value, dict) else value
    return message


def push(client: Any, queue: str, kwargs: object, **changes: object) -> None:
    """Put a message into a queue by hand."""
    client.lpush(queue, json.dumps(envelope(queue, kwargs, **changes)))


def test_f16_hostile_messages_are_refused_and_written_down(
    make_cluster: Callable[..., Cluster],
    redis_server: RedisServer,
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
    tmp_path: Path,
) -> None:
    expected = undisturbed(32)
    cluster = make_cluster()
    cluster.enqueue(expected.folder)
    job = cluster.job_name()
    client = redis_server.client
    refused = [
        {"version": 99, "job": job, "image_ids": [1]},
        {"version": 1, "job": "../../etc", "image_ids": [1]},
        {"version": 1, "job": "00000000", "image_ids": [1]},
        {"version": 1, "job": job, "image_ids": ["../../etc/passwd"]},
        {"version": 1, "job": job, "image_ids": [-1]},
        {"version": 1, "job": job, "image_ids": [2**64]},
        {"version": 1, "job": job, "image_ids": list(range(1, 5000))},
        {"version": 1, "job": job, "image_ids": [True]},
        {"version": 1, "job": job, "image_ids": [1], "path": "/etc/passwd"},
        {"job": job, "image_ids": "1"},
        {"version": 1, "job": "x" * 1_000_000, "image_ids": [1]},
        {},
    ]
    for kwargs in refused:
        push(client, "detect", kwargs)
    unknown_ids = {"version": 1, "job": job, "image_ids": [10**6, 10**7]}
    push(client, "detect", unknown_ids)
    pickled = base64.b64encode(pickle.dumps(([], {}, _Evil()))).decode()
    push(client, "detect", {}, **{"content-type": "application/x-python-serialize", "body": pickled})
    push(client, "detect", {}, headers={"task": "os.system"})
    push(client, "augment", {}, body=base64.b64encode(b"no json").decode())
    push(client, "augment", {}, headers={"eta": "tomorrow"})
    for raw in (b"no json at all", b"\xff\xfe\x00binary", b"[1, 2, 3]", b"{}", b'{"properties": {}}'):
        client.lpush("detect", raw)
    cluster.start_worker()
    cluster.wait_done(120)
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": 32}
    assert findings.tree_hash == expected.tree_hash
    reasons = [row[0] for row in cluster.rows("SELECT reason FROM dead_letters")]
    # The one with an argument too many is refused too: nothing in it was made by us.
    assert len(reasons) >= len(refused) - 1, reasons
    assert all(len(reason) < 2001 for reason in reasons)
    assert not list(tmp_path.rglob("marker-of-code-that-ran"))
    note_figures(
        "F16",
        "hostile messages",
        images=32,
        disturbances=f"{len(refused) + 10} messages",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        orphans=findings.temporaries,
        notes=f"{len(reasons)} written down, {cluster.restarts} restarts of the worker",
    )


@pytest.mark.soak
def test_f16_rows_that_lead_out_of_the_roots_are_refused(
    make_cluster: Callable[..., Cluster], undisturbed: Callable[[int], Expected], tmp_path: Path
) -> None:
    expected = undisturbed(32)
    cluster = make_cluster()
    cluster.enqueue(expected.folder)
    import sqlite3

    outside = tmp_path / "outside.jpg"
    outside.write_bytes((expected.folder / "p000000.jpg").read_bytes())
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
    make_cluster: Callable[..., Cluster], redis_server: RedisServer, undisturbed: Callable[[int], Expected]
) -> None:
    expected = undisturbed(32)
    cluster = make_cluster()
    cluster.enqueue(expected.folder)
    push(redis_server.client, "detect", {"version": 1, "job": "x" * 50_000_000, "image_ids": [1]})
    cluster.start_worker()
    cluster.wait_done()
    assert cluster.check().tree_hash == expected.tree_hash
    start = time.monotonic()
    wait_until(lambda: cluster.rows("SELECT count(*) FROM dead_letters")[0][0] == 1, "the dead letter")
    assert time.monotonic() - start < 60
