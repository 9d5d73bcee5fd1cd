"""Segmentations under the faults that jobs survive: every face one map, whatever dies, comes twice or is lost."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.faults.cluster import MASKMILL, Cluster
from tests.faults.conftest import Expected
from tests.faults.pictures import MARKED_WIDTH, write_photographs
from tests.faults.servers import RedisServer, wait_until
from tests.faults.test_deliveries import THRICE
from tests.oracle import tree

COUNT = 32
SLOW = {"point": "decode", "when": "after", "do": "sleep", "seconds": 0.15}
"""Previews need the picture, so that each takes a while."""


def segmented(cluster: Cluster) -> dict[str, int]:
    """Images of the segmentation per state."""
    return {row[0]: row[1] for row in cluster.rows("SELECT status, count(*) FROM segment_images GROUP BY 1")}


def wait_segmented(cluster: Cluster) -> None:
    """Wait until whoever looks after jobs has closed it, and the last message is acknowledged."""
    wait_until(
        lambda: cluster.rows("SELECT state FROM segment_runs")[0][0] == "done",
        f"the end of the segmentation, {segmented(cluster)}",
        300,
    )
    cluster.wait_drained()


def start_segmenting(cluster: Cluster, pictures: Path, previews: Path, *faults: dict[str, object]) -> None:
    """Do a whole job, then send a segmentation to a worker with faults."""
    cluster.enqueue(pictures)
    cluster.start_worker()
    cluster.wait_done()
    cluster.stop_workers()
    answer = cluster.command(
        "segment", cluster.job_name(), "--output", previews, **cluster.with_faults([THRICE])
    )
    assert answer.returncode == 0, answer.stderr
    cluster.start_worker(**cluster.with_faults(faults))


def whole_files(folder: Path) -> dict[bytes, str]:
    """Without what killed processes had begun: it is swept once nobody can be writing it any more."""
    return {path: sha for path, sha in tree(folder).items() if not path.endswith(b".maskmill.tmp")}


def maps_of(rows: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Image -> map; two maps of one face are none."""
    assert len({bytes(path) for path, _ in rows}) == len(rows)
    return {bytes(path): bytes(found) for path, found in rows}


MAPS = (
    "SELECT i.relative_path, s.map FROM segmentations s JOIN faces f ON f.id = s.face_id"
    " JOIN images i ON i.id = f.image_id"
)


@pytest.mark.soak
def test_killed_processes_a_wiped_redis_and_messages_that_come_thrice_lose_no_map(
    make_cluster: Callable[..., Cluster],
    redis_server: RedisServer,
    undisturbed: Callable[[int], Expected],
    tmp_path: Path,
) -> None:
    expected = undisturbed(COUNT)
    whole = expected.folder.parent / "out"
    words = ["segment", whole, "--workers", 0, "--output", tmp_path / "expected", "--quiet", "--mode", "all"]
    subprocess.run([str(MASKMILL), *map(str, words)], check=True, stdin=subprocess.DEVNULL)
    cluster = make_cluster(chunk_size=4)
    start_segmenting(cluster, expected.folder, tmp_path / "previews", SLOW)

    def done() -> int:
        return segmented(cluster).get("done", 0)

    wait_until(lambda: done() >= 4, "the first images")
    wait_until(lambda: bool(cluster.children()), "a child")
    random.choice(cluster.children()).kill()
    wait_until(lambda: done() >= 8, "more images")
    redis_server.client.flushall()
    wait_until(lambda: done() >= 12, "more images again")
    for main in cluster.mains():
        cluster.kill_worker(psutil.Process(main.pid))
    wait_segmented(cluster)
    assert segmented(cluster) == {"done": COUNT}
    assert len(maps_of(cluster.rows(MAPS))) == COUNT
    assert whole_files(tmp_path / "previews") == tree(tmp_path / "expected")
    sums = cluster.rows("SELECT sum(updated), sum(kept), sum(left_out), sum(previews) FROM segment_images")
    assert tuple(sums[0]) == (COUNT, 0, 0, COUNT)
    # The job itself is what it was.
    assert cluster.check(allow_temporaries=True).tree_hash == expected.tree_hash


@pytest.mark.soak
def test_a_picture_that_kills_its_process_fails_alone_and_only_here(
    make_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    pictures = write_photographs(tmp_path / "in", 8, marked=(3,))
    cluster = make_cluster(visibility_timeout_s=30, chunk_size=4)
    deadly = {"point": "decode", "when": "after", "do": "kill", "width": MARKED_WIDTH}
    start_segmenting(cluster, pictures, tmp_path / "previews", deadly)
    wait_segmented(cluster)
    failed = cluster.rows(
        "SELECT i.relative_path, s.error_code, s.error_stage FROM segment_images s"
        " JOIN images i ON i.id = s.image_id WHERE s.status = 'failed'"
    )
    assert [(bytes(row[0]), row[1], row[2]) for row in failed] == [
        (b"p000003.jpg", "killed-worker", "segment")
    ]
    assert segmented(cluster) == {"done": 7, "failed": 1}
    assert len(maps_of(cluster.rows(MAPS))) == 7
    assert len(whole_files(tmp_path / "previews")) == 7
    assert cluster.check(allow_temporaries=True).states == {"done": 8}


@pytest.mark.soak
def test_a_message_of_another_make_is_refused(
    make_cluster: Callable[..., Cluster], undisturbed: Callable[[int], Expected]
) -> None:
    """A job's name is none of a segmentation, and the other way round."""
    from celery import Celery

    cluster = make_cluster()
    cluster.enqueue(undisturbed(COUNT).folder)
    cluster.start_worker()
    cluster.wait_done()
    app = Celery(broker=cluster.redis.url)
    for name, version, job in (
        ("maskmill.segment", 1, cluster.job_name()),
        ("maskmill.segment", 2, "0123abcd"),
        ("maskmill.segment", 1, "../../et"),
    ):
        app.send_task(
            name,
            kwargs={"version": version, "job": job, "image_ids": [1]},
            queue="augment",
            ignore_result=True,
        )
    wait_until(
        lambda: cluster.rows("SELECT count(*) FROM dead_letters")[0][0] == 3,
        "the refusals, " + cluster.tail(),
    )
    app.close()
    # Those that the judge refuses did not come as far as their task: they are told of by their queue.
    assert {row[0] for row in cluster.rows("SELECT stage FROM dead_letters")} == {"augment", "segment"}
    assert cluster.check().states == {"done": COUNT}
