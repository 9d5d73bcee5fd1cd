"""Reconciling: whatever was lost, and whoever died, the job ends with its exports."""

from __future__ import annotations

import os
from collections.abc import Callable

import psutil
import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Expected
from tests.faults.servers import RedisServer, wait_until
from tests.faults.test_kills import SLOW


def test_reconcile_by_hand_sends_again_what_was_lost(
    make_cluster: Callable[..., Cluster], redis_server: RedisServer, undisturbed: Callable[[int], Expected]
) -> None:
    """Nothing is under way and everything is open: one call is enough, as in a cron job."""
    expected = undisturbed(32)
    cluster = make_cluster(reconcile_every_s=0)
    cluster.enqueue(expected.folder)
    redis_server.client.flushall()
    answer = cluster.command("reconcile")
    assert answer.returncode == 0, answer.stderr
    assert cluster.redis.depths()["detect"] > 0, answer.stdout


@pytest.mark.soak
def test_a_job_is_finished_although_the_process_beside_the_worker_died(
    make_cluster: Callable[..., Cluster], undisturbed: Callable[[int], Expected]
) -> None:
    expected = undisturbed(32)
    cluster = make_cluster(faults=[SLOW])
    cluster.start_worker()
    wait_until(lambda: bool(cluster.sidecars()), "the process beside the worker")
    cluster.enqueue(expected.folder)
    for process in cluster.sidecars():
        process.kill()
    cluster.wait_for(32)
    cluster.wait_done(60)
    assert cluster.check().tree_hash == expected.tree_hash


@pytest.mark.soak
def test_exports_are_written_although_their_writer_was_killed(
    make_cluster: Callable[..., Cluster], undisturbed: Callable[[int], Expected]
) -> None:
    """The job's state must not say `done` while nobody will write its logs.csv any more."""
    expected = undisturbed(32)
    cluster = make_cluster(faults=[{"point": "logs", "when": "before", "do": "kill", "times": 1}])
    cluster.enqueue(expected.folder)
    cluster.start_worker()
    cluster.wait_for(32)
    wait_until(lambda: cluster.fault_count() == 1, "the kill")
    # Somebody comes back: a worker is started again.
    for main in cluster.mains():
        cluster.kill_worker(main)
    cluster.wait_done(60)
    assert cluster.check().tree_hash == expected.tree_hash


@pytest.mark.soak
def test_temporary_files_of_killed_processes_are_swept(
    make_cluster: Callable[..., Cluster], undisturbed: Callable[[int], Expected]
) -> None:
    """One that is older than any task can be belongs to nobody any more."""
    expected = undisturbed(32)
    cluster = make_cluster()
    cluster.enqueue(expected.folder)
    orphan = cluster.output / ".p000000_buffalo.jpg.0123456789abcdef.maskmill.tmp"
    orphan.write_bytes(b"half a file")
    os.utime(orphan, (0, 0))
    cluster.start_worker()
    cluster.wait_done(60)
    assert cluster.check(allow_temporaries=True).tree_hash == expected.tree_hash
    assert not orphan.exists()


@pytest.mark.soak
def test_two_workers_elect_one_to_look_after_jobs_and_replace_it(
    make_cluster: Callable[..., Cluster], undisturbed: Callable[[int], Expected]
) -> None:
    expected = undisturbed(32)
    cluster = make_cluster(faults=[SLOW])
    for _ in range(2):
        cluster.start_worker(processes=1)
    lease = "SELECT holder FROM leases WHERE name = 'reconcile'"
    wait_until(lambda: bool(cluster.rows(lease)), "an election")
    holder = cluster.rows(lease)[0][0]
    cluster.enqueue(expected.folder)
    elected = psutil.Process(int(holder.split(":")[1]))
    main = elected.parent()
    assert main is not None
    cluster.kill_worker(main)
    wait_until(lambda: bool(cluster.rows(lease)) and cluster.rows(lease)[0][0] != holder, "another election")
    cluster.wait_done()
    assert cluster.check(allow_temporaries=True).tree_hash == expected.tree_hash
