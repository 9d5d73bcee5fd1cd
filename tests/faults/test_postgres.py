"""PostgreSQL that crashes, freezes or lets nobody in: the job waits, and no image fails for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.conftest import Expected
from tests.faults.servers import PostgresServer, wait_until
from tests.faults.test_kills import pace, slowdown


def _crash(server: PostgresServer) -> None:
    server.stop("immediate")
    time.sleep(0.5)
    server.start()


def _freeze(server: PostgresServer) -> None:
    with server.paused():
        time.sleep(30)


def _refuse(server: PostgresServer) -> None:
    with server.refusing():
        time.sleep(20)


@pytest.mark.parametrize(
    ("count", "fault", "disturb", "times"),
    [
        (32, "PostgreSQL crashes", _crash, 1),
        pytest.param(1000, "PostgreSQL crashes and restarts", _crash, 5, marks=pytest.mark.soak),
        pytest.param(1000, "PostgreSQL frozen for 30 s", _freeze, 1, marks=pytest.mark.soak),
        pytest.param(1000, "PostgreSQL refuses connections for 20 s", _refuse, 1, marks=pytest.mark.soak),
    ],
)
def test_f9_a_database_that_is_away_fails_no_image(
    make_cluster: Callable[..., object],
    postgres_server: PostgresServer,
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
    count: int,
    fault: str,
    disturb: Callable[[PostgresServer], None],
    times: int,
) -> None:
    expected = undisturbed(count)
    cluster = make_cluster(postgres_server, **pace(count))
    start = time.monotonic()
    cluster.enqueue(expected.folder)
    cluster.start_worker()
    recovered: list[float] = []
    for number in range(1, times + 1):
        cluster.wait_for(count * number // (times + 2), 300)
        disturb(postgres_server)
        before = cluster.final()
        recovered.append(wait_until(lambda before=before: cluster.final() > before, "work to go on"))
    cluster.wait_done(300)
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": count}
    assert findings.tree_hash == expected.tree_hash
    if count > 100:
        note_figures(
            "F9",
            fault,
            images=count,
            disturbances=str(times),
            lost=cluster.lost(),
            beyond_ideal=findings.beyond_ideal,
            more_starts=findings.more_starts,
            recovery_s=round(max(recovered), 1),
            slowdown=slowdown(start, expected),
            orphans=findings.temporaries,
            notes=f"{cluster.restarts} restarts of the worker",
        )
