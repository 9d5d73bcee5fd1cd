"""Reconciling: whatever was lost, and whoever died, the job ends with its exports."""

from __future__ import annotations

import os
from collections.abc import Callable

import psutil
import pytest

from tests.faults.servers import RedisServer, wait_until
from tests.faults.trial import SLOW, Trial


def test_reconcile_by_hand_sends_again_what_was_lost(
    make_trial: Callable[..., Trial], redis_server: RedisServer
) -> None:
    """Nothing is under way and everything is open: one call is enough, as in a cron job."""
    trial = make_trial(32, reconcile_every_s=0)
    cluster = trial.cluster
    cluster.enqueue(trial.expected.folder)
    redis_server.client.flushall()
    answer = cluster.command("reconcile")
    assert answer.returncode == 0, answer.stderr
    assert cluster.redis.depths()["detect"] > 0, answer.stdout


@pytest.mark.soak
def test_a_job_is_finished_although_the_process_beside_the_worker_died(
    make_trial: Callable[..., Trial],
) -> None:
    trial = make_trial(32, faults=[SLOW])
    cluster = trial.cluster
    cluster.start_worker()
    wait_until(lambda: bool(cluster.sidecars()), "the process beside the worker")
    cluster.enqueue(trial.expected.folder)
    for process in cluster.sidecars():
        process.kill()
    cluster.wait_for(32)
    trial.end("–", "process beside the worker killed", is_swept=True)


@pytest.mark.soak
def test_exports_are_written_although_their_writer_was_killed(
    make_trial: Callable[..., Trial],
) -> None:
    """The job's state must not say `done` while nobody will write its logs.csv any more."""
    trial = make_trial(32, faults=[{"point": "logs", "when": "before", "do": "kill", "times": 1}])
    cluster = trial.cluster
    cluster.enqueue(trial.expected.folder)
    cluster.start_worker()
    cluster.wait_for(32)
    wait_until(lambda: cluster.fault_count() == 1, "the kill")
    # Somebody comes back: a worker is started again.
    for main in cluster.mains():
        cluster.kill_worker(main)
    trial.end("–", "killed before it wrote the exports", is_swept=True)


@pytest.mark.soak
def test_temporary_files_of_killed_processes_are_swept(
    make_trial: Callable[..., Trial],
) -> None:
    """One that is older than any task can be belongs to nobody any more."""
    trial = make_trial(32)
    cluster = trial.cluster
    cluster.enqueue(trial.expected.folder)
    orphan = cluster.output / ".p000000_buffalo.jpg.0123456789abcdef.maskmill.tmp"
    orphan.write_bytes(b"half a file")
    os.utime(orphan, (0, 0))
    cluster.start_worker()
    trial.end("–", "temporary file of a dead process")
    assert not orphan.exists()


@pytest.mark.soak
def test_two_workers_elect_one_to_look_after_jobs_and_replace_it(
    make_trial: Callable[..., Trial],
) -> None:
    trial = make_trial(32, faults=[SLOW])
    cluster = trial.cluster
    for _ in range(2):
        cluster.start_worker(processes=1)
    lease = "SELECT holder FROM leases WHERE name = 'reconcile'"
    wait_until(lambda: bool(cluster.rows(lease)), "an election")
    holder = cluster.rows(lease)[0][0]
    cluster.enqueue(trial.expected.folder)
    elected = psutil.Process(int(holder.split(":")[1]))
    main = elected.parent()
    assert main is not None
    cluster.kill_worker(main)
    wait_until(lambda: bool(cluster.rows(lease)) and cluster.rows(lease)[0][0] != holder, "another election")
    trial.end("–", "elected worker killed")
