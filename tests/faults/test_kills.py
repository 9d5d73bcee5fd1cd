"""Processes that die: pool children, whole workers, a picture that kills whoever touches it."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Expected
from tests.faults.pictures import MARKED_WIDTH, write_photographs
from tests.faults.servers import PostgresServer, wait_until

SLOW = {"point": "decode", "when": "after", "do": "sleep", "seconds": 0.1}
"""Small pictures would be over before anything can be killed."""


def pace(count: int) -> dict[str, Any]:
    """Settings of a job of so many images.

    A short one is slowed down, and what is lost comes back soon. In a long one messages wait: what was sent
    longer ago than twice the visibility timeout counts as lost, and should not be counted while it waits.
    """
    return {"faults": [SLOW]} if count < 100 else {"visibility_timeout_s": 30}


class Killer:
    """Kills something every so often, in a thread, while it is entered."""

    def __init__(self, cluster: Cluster, kill: Callable[[Cluster], bool], every_s: float, most: int) -> None:
        self.kills = 0
        self._cluster = cluster
        self._kill = kill
        self._every_s = every_s
        self._most = most
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while self.kills < self._most and not self._is_over.wait(self._every_s):
            self.kills += self._kill(self._cluster)


def kill_a_child(cluster: Cluster) -> bool:
    """SIGKILL one pool process, any."""
    children = cluster.children()
    with contextlib.suppress(psutil.Error):
        if children:
            random.choice(children).kill()
            return True
    return False


def kill_a_worker(cluster: Cluster) -> bool:
    """SIGKILL one whole worker."""
    mains = cluster.mains()
    if mains:
        cluster.kill_worker(random.choice(mains))
    return bool(mains)


def kill_all_workers(cluster: Cluster) -> bool:
    """SIGKILL all of them at once."""
    mains = cluster.mains()
    for main in mains:
        cluster.kill_worker(main)
    return bool(mains)


@pytest.mark.parametrize(
    ("count", "every_s", "most"), [(32, 1.0, 2), pytest.param(2000, 2.0, 10_000, marks=pytest.mark.soak)]
)
def test_f1_killed_children_lose_no_image_and_fail_none(
    make_cluster: Callable[..., Cluster],
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
    count: int,
    every_s: float,
    most: int,
) -> None:
    expected = undisturbed(count)
    cluster = make_cluster(**pace(count))
    start = time.monotonic()
    cluster.enqueue(expected.folder)
    cluster.start_worker()
    cluster.wait_for(1)
    with Killer(cluster, kill_a_child, every_s, most) as killer:
        cluster.wait_for(count, 600)
    cluster.wait_done()
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": count}
    assert findings.tree_hash == expected.tree_hash
    assert killer.kills > 0
    if count > 100:
        note_figures(
            "F1",
            f"SIGKILL of a pool child every {every_s:.0f} s",
            images=count,
            disturbances=f"{killer.kills} kills",
            lost=cluster.lost(),
            beyond_ideal=findings.beyond_ideal,
            more_starts=findings.more_starts,
            slowdown=slowdown(start, expected),
            orphans=findings.temporaries,
            notes=f"most attempts {findings.most_attempts}",
        )


@pytest.mark.soak
@pytest.mark.parametrize(
    ("kill", "every_s", "fault"),
    [
        (kill_a_worker, 9.0, "SIGKILL of a whole worker every 9 s"),
        (kill_all_workers, 12.0, "SIGKILL of all workers every 12 s"),
    ],
    ids=["one", "all"],
)
def test_f2a_killed_workers_lose_no_image(
    make_cluster: Callable[..., Cluster],
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
    kill: Callable[[Cluster], bool],
    every_s: float,
    fault: str,
) -> None:
    expected = undisturbed(2000)
    cluster = make_cluster(**pace(1000))
    start = time.monotonic()
    cluster.enqueue(expected.folder)
    for _ in range(2):
        cluster.start_worker(processes=1)
    cluster.wait_for(1)
    with Killer(cluster, kill, every_s, 10_000) as killer:
        cluster.wait_for(2000, 600)
    cluster.wait_done()
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": 2000}
    assert findings.tree_hash == expected.tree_hash
    note_figures(
        "F2a",
        fault,
        images=2000,
        disturbances=f"{killer.kills} kills",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        slowdown=slowdown(start, expected),
        orphans=findings.temporaries,
    )


@pytest.mark.soak
def test_f2b_what_redis_popped_and_lost_is_found_by_reconcile(
    make_cluster: Callable[..., Cluster], note_figures: Callable[..., None], tmp_path: Path
) -> None:
    """Empty files: a message an image, next to no work, so that kills fall between pop and note."""
    count, kills = 6000, 40
    folder = tmp_path / "empty"
    folder.mkdir()
    for number in range(count):
        (folder / f"e{number:05d}.jpg").touch()
    cluster = make_cluster(chunk_size=1, reconcile_every_s=0, high_water=100_000, visibility_timeout_s=5)
    cluster.enqueue(folder)
    cluster.start_worker()
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
    recovery_s = round(time.monotonic() - start, 1)
    cluster.wait_done()
    reconcile.terminate()
    reconcile.wait()
    findings = cluster.check(allow_temporaries=True)
    assert findings.codes.keys() <= {"empty"}
    note_figures(
        "F2b",
        "SIGKILL of the whole worker at random, a message an image",
        images=count,
        disturbances=f"{done_kills} kills",
        lost=lost,
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        recovery_s=recovery_s,
        notes=f"{100 * lost / max(1, done_kills):.0f} lost per 100 kills",
    )


@pytest.mark.parametrize(
    ("count", "do", "marked"),
    [
        (24, "exit", (7,)),
        pytest.param(500, "exit", (250,), marks=pytest.mark.soak),
        pytest.param(2000, "kill", (100, 101, 1500), marks=pytest.mark.soak),
    ],
)
def test_f3_a_picture_that_kills_its_process_fails_alone(
    make_cluster: Callable[..., Cluster],
    note_figures: Callable[..., None],
    tmp_path: Path,
    count: int,
    do: str,
    marked: tuple[int, ...],
) -> None:
    pictures = write_photographs(tmp_path / "in", count, marked=marked)
    cluster = make_cluster(
        faults=[{"point": "decode", "when": "after", "do": do, "width": MARKED_WIDTH}],
        visibility_timeout_s=30,
    )
    start = time.monotonic()
    cluster.enqueue(pictures)
    cluster.start_worker()
    cluster.wait_done(300)
    seconds = time.monotonic() - start
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": count - len(marked), "failed": len(marked)}
    assert findings.codes == {"killed-worker": len(marked)}
    culprits = {
        bytes(row[0]) for row in cluster.rows("SELECT relative_path FROM images WHERE status = 'failed'")
    }
    assert culprits == {b"p%06d.jpg" % number for number in marked}
    if count > 100:
        note_figures(
            "F3",
            f"{len(marked)} pictures that end their process (`{do}`)",
            images=count,
            disturbances=f"{len(marked)} pictures",
            lost=cluster.lost(),
            beyond_ideal=findings.beyond_ideal,
            more_starts=findings.more_starts,
            notes=f"{findings.most_attempts} starts of a culprit at the most; whole job {seconds:.0f} s",
        )


@pytest.mark.soak
def test_f4_a_picture_that_needs_too_much_memory_fails_alone(
    make_cluster: Callable[..., Cluster], note_figures: Callable[..., None], tmp_path: Path
) -> None:
    pictures = write_photographs(tmp_path / "in", 200, marked=(50,))
    allocate = {"point": "decode", "when": "after", "do": "allocate", "width": MARKED_WIDTH}
    cluster = make_cluster(faults=[{**allocate, "bytes": 64 << 30}])
    cluster.memory_limit = 16 << 30
    cluster.enqueue(pictures)
    cluster.start_worker()
    cluster.wait_done()
    findings = cluster.check()
    assert findings.states == {"done": 199, "failed": 1}
    assert findings.codes == {"out-of-memory": 1}
    note_figures(
        "F4",
        "RLIMIT_AS, a picture that needs more",
        images=200,
        disturbances="1 picture",
        lost=0,
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        notes="failed as `out-of-memory`, process kept",
    )


STEPS = [
    ("write", "after"),
    ("sync", "after"),
    ("rename", "after"),
    ("store", "after"),
    ("send", "before"),
    ("ack", "after"),
]
"""Where one of the steps write, sync, rename, rows, message, acknowledgement is done and the next is not."""


@pytest.mark.soak
@pytest.mark.parametrize("do", ["kill", "kill-all"])
@pytest.mark.parametrize(("step", "when"), STEPS)
def test_f17_a_crash_at_any_step_of_an_image_leaves_it_whole(
    make_cluster: Callable[..., Cluster],
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
    step: str,
    when: str,
    do: str,
) -> None:
    expected = undisturbed(32)
    cluster = make_cluster(visibility_timeout_s=5)
    cluster.enqueue(expected.folder)
    fault = {"point": step, "when": when, "do": do, "times": 2, "skip": 1}
    cluster.environment |= cluster.with_faults([fault])
    cluster.start_worker()
    cluster.wait_done(200)
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": 32}
    assert findings.tree_hash == expected.tree_hash
    crashes = cluster.fault_count()
    assert crashes == 2
    note_figures(
        "F17",
        f"crash {when} {step}, {'child' if do == 'kill' else 'child and main'}",
        images=32,
        disturbances=f"{crashes} crashes",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        orphans=findings.temporaries,
    )


@pytest.mark.soak
def test_children_workers_and_redis_killed_all_at_once_on_postgresql(
    make_cluster: Callable[..., Cluster],
    postgres_server: PostgresServer,
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
) -> None:
    expected = undisturbed(2000)
    cluster = make_cluster(postgres_server, **pace(1000))
    start = time.monotonic()
    cluster.enqueue(expected.folder)
    for _ in range(2):
        cluster.start_worker(processes=1)
    cluster.wait_for(1)

    def restart_redis(cluster: Cluster) -> bool:
        cluster.redis.kill()
        time.sleep(1)
        cluster.redis.start()
        return True

    with contextlib.ExitStack() as stack:
        killers = [
            stack.enter_context(Killer(cluster, kill, every_s, 10_000))
            for kill, every_s in ((kill_a_child, 2.0), (kill_a_worker, 9.0), (restart_redis, 11.0))
        ]
        cluster.wait_for(2000, 600)
    cluster.wait_done()
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": 2000}
    assert findings.tree_hash == expected.tree_hash
    children, workers, brokers = (killer.kills for killer in killers)
    note_figures(
        "F1+F2+F5",
        "all at once, PostgreSQL",
        images=2000,
        disturbances=f"{children} children, {workers} workers, {brokers} Redis",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        slowdown=slowdown(start, expected),
        orphans=findings.temporaries,
    )


def slowdown(start: float, expected: Expected) -> float:
    """How many times longer than the undisturbed run it took since `start` (monotonic seconds)."""
    return round((time.monotonic() - start) / expected.seconds, 1)
