"""Processes that die: pool children, whole workers, everything at once."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.asked import held_at
from tests.faults.cluster import Cluster
from tests.faults.killers import Killer, kill_a_child, kill_a_worker, kill_all_workers, restart_redis
from tests.faults.servers import PostgresServer, wait_until
from tests.faults.trial import PATIENT, SLOW, Expected, Trial


@pytest.mark.parametrize(
    ("count", "every_s", "most"), [(32, 1.0, 2), pytest.param(2000, 2.0, 10_000, marks=pytest.mark.soak)]
)
def test_f1_killed_children_lose_no_image_and_fail_none(
    make_trial: Callable[..., Trial], tmp_path: Path, count: int, every_s: float, most: int
) -> None:
    is_small = count < 100
    # So few images would be over before anything is killed: they wait for it.
    released = tmp_path / "released"
    trial = make_trial(
        count,
        faults=[held_at("store", released, skip=1)] if is_small else [],
        **(PATIENT if is_small else {}),
    )
    trial.begin()
    trial.wait_for(0)
    with Killer(trial.cluster, kill_a_child, every_s, most) as killer:
        if is_small:
            wait_until(lambda: killer.kills == most, "the kills")
            released.touch()
        trial.wait_for(1)
    assert killer.kills > 0
    attempts = "SELECT max(attempts) FROM images"
    trial.end(
        "F1",
        f"SIGKILL of a pool child every {every_s:.0f} s",
        disturbances=f"{killer.kills} kills",
        notes=f"most attempts {trial.cluster.rows(attempts)[0][0]}",
    )


@pytest.mark.soak
@pytest.mark.parametrize(
    ("count", "kill", "every_s", "fault"),
    [
        (1000, kill_a_worker, 9.0, "SIGKILL of one of two whole workers every 9 s"),
        (1000, kill_all_workers, 9.0, "SIGKILL of all workers at once every 9 s"),
    ],
    ids=["one", "all"],
)
def test_f2a_killed_workers_lose_no_image(
    make_trial: Callable[..., Trial],
    count: int,
    kill: Callable[[Cluster], bool],
    every_s: float,
    fault: str,
) -> None:
    # Slowed down, so that some kills come before the end on a fast machine too.
    trial = make_trial(count, faults=[{**SLOW, "seconds": 0.02}])
    trial.begin(workers=2, processes=1)
    trial.wait_for(0)
    with Killer(trial.cluster, kill, every_s) as killer:
        trial.wait_for(1)
    assert killer.kills > 0
    trial.end("F2a", fault, disturbances=f"{killer.kills} kills")


@pytest.mark.soak
def test_f2b_what_redis_popped_and_lost_is_found_by_reconcile(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    """Empty files: a message an image, next to no work, so that kills fall between pop and note."""
    count, kills = 6000, 40
    folder = tmp_path / "empty"
    folder.mkdir()
    for number in range(count):
        (folder / f"e{number:05d}.jpg").touch()
    trial = make_trial(
        Expected(folder, count), chunk_size=1, reconcile_every_s=0, high_water=100_000, visibility_timeout_s=5
    )
    cluster = trial.cluster
    trial.begin()
    done_kills = 0
    while done_kills < kills and cluster.open() > 200:
        before = cluster.final()
        wait_until(lambda before=before: cluster.final() > before + 5, "a worker that is busy")
        time.sleep(random.uniform(0.0, 0.5))
        done_kills += kill_all_workers(cluster)
    cluster.wait_drained(300)
    lost = cluster.open()
    start = time.monotonic()
    assert cluster.command("reconcile").returncode == 0
    # By hand nothing is known of what was under way before: it looks twice, quiet in between.
    reconcile = cluster.start("reconcile", "--every", 0.5)
    wait_until(lambda: cluster.open() == 0, "the end")
    trial.recovered.append(time.monotonic() - start)
    cluster.wait_done()
    reconcile.terminate()
    reconcile.wait()
    trial.end(
        "F2b",
        "SIGKILL of the whole worker at random, a message an image",
        codes={"empty": count},
        lost=lost,
        disturbances=f"{done_kills} kills",
        notes=f"{100 * lost / max(1, done_kills):.0f} lost per 100 kills",
    )


@pytest.mark.soak
def test_children_workers_and_redis_killed_all_together_on_postgresql(
    make_trial: Callable[..., Trial], postgres_server: PostgresServer
) -> None:
    trial = make_trial(2000, postgres_server)
    trial.begin(workers=2, processes=1)
    trial.wait_for(0)
    with contextlib.ExitStack() as stack:
        killers = [
            stack.enter_context(Killer(trial.cluster, kill, every_s))
            for kill, every_s in ((kill_a_child, 2.0), (kill_a_worker, 9.0), (restart_redis, 11.0))
        ]
        trial.wait_for(1)
    children, workers, brokers = (killer.kills for killer in killers)
    assert children > 0
    trial.end(
        "F1+F2+F5",
        "all at once, PostgreSQL",
        disturbances=f"{children} children, {workers} workers, {brokers} Redis",
    )


STEPS = [
    ("write", "after"),
    ("sync", "after"),
    ("rename", "after"),
    ("detected", "after"),
    ("store", "after"),
    ("send", "before"),
    ("ack", "after"),
]
"""Where one of the steps write, sync, rename, rows (of either stage), message, acknowledgement is done and the next
is not."""


@pytest.mark.soak
@pytest.mark.parametrize("do", ["kill", "kill-all"])
@pytest.mark.parametrize(("step", "when"), STEPS)
def test_f17_a_crash_at_any_step_of_an_image_leaves_it_whole(
    make_trial: Callable[..., Trial], step: str, when: str, do: str
) -> None:
    trial = make_trial(32, visibility_timeout_s=5)
    trial.cluster.enqueue(trial.expected.folder)
    fault = {"point": step, "when": when, "do": do, "times": 2, "skip": 1}
    trial.cluster.environment |= trial.cluster.with_faults([fault])
    # A worker of both stages goes from one to the other without a message.
    for stage in ("detect", "augment") if step == "send" else ("all",):
        trial.cluster.start_worker(stage=stage)
    trial.cluster.wait_done(300)
    assert trial.cluster.fault_count() == 2
    whom = "child" if do == "kill" else "child and main"
    trial.end("F17", f"crash {when} {step}, {whom}", disturbances="2 crashes")
