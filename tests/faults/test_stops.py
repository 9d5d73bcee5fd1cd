"""Orderly stops: workers that are told to end, jobs that are cancelled, folders that lie elsewhere."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.faults.pictures import write_photographs
from tests.faults.servers import PATIENCE_S, wait_until
from tests.faults.trial import SLOW, Trial


@pytest.mark.soak
def test_f10_a_worker_that_is_told_to_stop_gives_back_what_it_holds(
    make_trial: Callable[..., Trial],
) -> None:
    trial = make_trial(1000, faults=[{**SLOW, "seconds": 0.02}])
    cluster = trial.cluster
    cluster.enqueue(trial.expected.folder)
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
    assert len(stops) > 1
    cluster.start_worker()
    trial.end(
        "F10",
        "SIGTERM under load",
        is_swept=True,
        disturbances=f"{len(stops)} stops",
        notes=f"stop {sorted(stops)[len(stops) // 2]:.1f} s median, {max(stops):.1f} s at the most; "
        f"{sum(map(bool, held))} stops left something in `unacked`",
    )
    assert max(stops) < PATIENCE_S


@pytest.mark.soak
def test_a_cancelled_job_drains_and_can_be_gone_on_with(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(32, faults=[{**SLOW, "seconds": 1.0}], chunk_size=2)
    cluster = trial.cluster
    trial.begin()
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
    trial.end("–", "job cancelled and gone on with", is_swept=True, disturbances="1 cancel, 2 resumes")


@pytest.mark.soak
def test_a_worker_that_sees_the_folders_elsewhere_maps_the_paths(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    """The producer's folders are not there under its names when the worker comes."""
    there, here = tmp_path / "there", tmp_path / "here"
    write_photographs(there / "in", 32)
    (there / "out").mkdir()
    trial = make_trial(32)
    cluster = trial.cluster
    cluster.output = there / "out"
    cluster.enqueue(there / "in")
    os.rename(there, here)
    cluster.start_worker(MASKMILL_PATH_MAP=f"{there}={here}")
    wait_until(lambda: cluster.job_state() == "done", cluster.tail())
    cluster.wait_drained()
    wait_until((here / "out" / "logs.csv").exists, "logs.csv")
    assert not there.exists()
    os.rename(here, there)
    trial.end("–", "folders mounted elsewhere", is_swept=True)


@pytest.mark.soak
def test_sigterm_ends_a_worker_that_has_nothing_to_do(make_cluster: Callable[..., Cluster]) -> None:
    cluster = make_cluster()
    worker = cluster.start_worker()
    wait_until(lambda: len(cluster.children()) == 2 and bool(cluster.sidecars()), "the worker")
    cluster.is_supervised = False
    worker.send_signal(signal.SIGTERM)
    worker.wait(PATIENCE_S)
    assert not cluster.mains()
