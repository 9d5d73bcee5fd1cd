"""Orderly stops, producers that are killed, jobs that are cancelled and gone on with."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Expected
from tests.faults.pictures import write_photographs
from tests.faults.servers import PATIENCE_S, wait_until
from tests.faults.test_kills import SLOW, pace


@pytest.mark.soak
def test_f10_a_worker_that_is_told_to_stop_gives_back_what_it_holds(
    make_cluster: Callable[..., Cluster],
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
) -> None:
    expected = undisturbed(1000)
    cluster = make_cluster(**pace(1000))
    cluster.enqueue(expected.folder)
    stops: list[float] = []
    held: list[int] = []
    while len(stops) < 20 and cluster.open() > 100:
        cluster.start_worker()
        before = cluster.final()
        wait_until(lambda before=before: cluster.final() > before, "a worker that is busy")
        time.sleep(random.uniform(0, 1))
        start = time.monotonic()
        cluster.stop_workers()
        stops.append(time.monotonic() - start)
        held.append(cluster.redis.depths()["unacked"])
    cluster.start_worker()
    cluster.wait_done(300)
    findings = cluster.check()
    assert findings.states == {"done": 1000}
    assert findings.tree_hash == expected.tree_hash
    note_figures(
        "F10",
        "SIGTERM under load",
        images=1000,
        disturbances=f"{len(stops)} stops",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        orphans=findings.temporaries,
        notes=f"stop {sorted(stops)[len(stops) // 2]:.1f} s median, {max(stops):.1f} s at the most; "
        f"{sum(map(bool, held))} stops left something in `unacked`",
    )
    assert max(stops) < PATIENCE_S


@pytest.mark.parametrize("count", [32, pytest.param(1000, marks=pytest.mark.soak)])
def test_f11_a_producer_killed_anywhere_goes_on_where_it_was(
    make_cluster: Callable[..., Cluster],
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
    count: int,
) -> None:
    """Killed at about 10, 50 and 90 % of the recording, then while it sends; the same command again each time."""
    expected = undisturbed(count)
    cluster = make_cluster(chunk_size=1 if count < 100 else 8, high_water=8)
    kills = 0
    for point, when in (("record", "before"), ("record", "after"), ("send", "before"), ("send", "after")):
        fault = [{"point": point, "when": when, "do": "kill", "skip": kills}]
        producer = cluster.start_enqueue(expected.folder, **cluster.with_faults(fault))
        wait_until(lambda producer=producer: producer.poll() is not None or cluster.is_full(), "its death")
        if producer.poll() is None:
            producer.kill()
        producer.wait()
        kills += 1
    cluster.start_worker()
    for _ in range(2):
        cluster.enqueue(expected.folder)
    cluster.wait_done(300)
    findings = cluster.check()
    assert findings.states == {"done": count}
    assert findings.tree_hash == expected.tree_hash
    if count > 100:
        note_figures(
            "F11",
            "producer killed while it records and sends, same command again",
            images=count,
            disturbances=f"{kills} kills",
            lost=cluster.lost(),
            beyond_ideal=findings.beyond_ideal,
            more_starts=findings.more_starts,
            orphans=findings.temporaries,
        )


@pytest.mark.soak
@pytest.mark.parametrize("percent", [10, 50, 90])
def test_f11_workers_finish_the_job_of_a_dead_producer(
    make_cluster: Callable[..., Cluster],
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
    percent: int,
) -> None:
    """The producer is killed when so many images are sent; nobody comes back to it."""
    expected = undisturbed(1000)
    cluster = make_cluster(high_water=20, **pace(1000))
    producer = cluster.start_enqueue(expected.folder)
    wait_until(cluster.is_full, "full queues")
    cluster.start_worker()
    sent = "SELECT count(*) FROM images WHERE sent_at IS NOT NULL"
    wait_until(lambda: cluster.rows(sent)[0][0] >= 10 * percent, f"{percent} % sent", 300)
    producer.kill()
    producer.wait()
    killed = time.monotonic()
    cluster.wait_done(300)
    findings = cluster.check()
    assert findings.states == {"done": 1000}
    assert findings.tree_hash == expected.tree_hash
    note_figures(
        "F11",
        f"producer killed for good at {percent} % sent",
        images=1000,
        disturbances="1 kill",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        orphans=findings.temporaries,
        notes=f"job ended {time.monotonic() - killed:.0f} s later without it",
    )


@pytest.mark.soak
def test_a_cancelled_job_drains_and_can_be_gone_on_with(
    make_cluster: Callable[..., Cluster], undisturbed: Callable[[int], Expected]
) -> None:
    expected = undisturbed(32)
    cluster = make_cluster(faults=[SLOW], chunk_size=2)
    cluster.enqueue(expected.folder)
    cluster.start_worker()
    cluster.wait_for(4)
    name = cluster.job_name()
    assert cluster.command("cancel", name).returncode == 0
    assert cluster.command("cancel", name).returncode == 0
    cluster.wait_drained()
    assert cluster.job_state() == "cancelled"
    assert 4 <= cluster.final() < 32
    for _ in range(2):
        answer = cluster.command("resume", name)
        assert answer.returncode == 0, answer.stderr
    cluster.wait_done()
    findings = cluster.check()
    assert findings.states == {"done": 32}
    assert findings.tree_hash == expected.tree_hash


@pytest.mark.soak
def test_a_worker_that_sees_the_folders_elsewhere_maps_the_paths(
    make_cluster: Callable[..., Cluster], undisturbed: Callable[[int], Expected], tmp_path: Path
) -> None:
    """The producer's folders are not there under its names when the worker comes."""
    expected = undisturbed(32)
    there, here = tmp_path / "there", tmp_path / "here"
    write_photographs(there / "in", 32)
    (there / "out").mkdir()
    cluster = make_cluster()
    cluster.output = there / "out"
    cluster.enqueue(there / "in")
    os.rename(there, here)
    cluster.start_worker(MASKMILL_PATH_MAP=f"{there}={here}")
    wait_until(lambda: cluster.job_state() == "done", cluster.tail())
    cluster.wait_drained()
    wait_until((here / "out" / "logs.csv").exists, "logs.csv")
    assert not there.exists()
    os.rename(here, there)
    findings = cluster.check()
    assert findings.states == {"done": 32}
    assert findings.tree_hash == expected.tree_hash


@pytest.mark.soak
def test_sigterm_ends_a_worker_that_has_nothing_to_do(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    worker = cluster.start_worker()
    wait_until(lambda: len(cluster.children()) == 2 and bool(cluster.sidecars()), "the worker")
    cluster.is_supervised = False
    worker.send_signal(signal.SIGTERM)
    worker.wait(PATIENCE_S)
    assert not cluster.mains()
