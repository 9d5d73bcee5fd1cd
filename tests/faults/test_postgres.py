"""PostgreSQL that crashes, freezes or lets nobody in: the job waits, and no image fails for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.servers import PostgresServer
from tests.faults.trial import MANY, SLOW, Trial


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
        pytest.param(MANY, "PostgreSQL crashes and restarts", _crash, 5, marks=pytest.mark.soak),
        pytest.param(MANY, "PostgreSQL frozen for 30 s", _freeze, 1, marks=pytest.mark.soak),
        pytest.param(MANY, "PostgreSQL refuses connections for 20 s", _refuse, 1, marks=pytest.mark.soak),
    ],
)
def test_f9_a_database_that_is_away_fails_no_image(
    make_trial: Callable[..., Trial],
    postgres_server: PostgresServer,
    count: int,
    fault: str,
    disturb: Callable[[PostgresServer], None],
    times: int,
) -> None:
    trial = make_trial(count, postgres_server, faults=[SLOW] if count < 100 else [])
    trial.begin()
    for number in range(1, times + 1):
        trial.wait_for(number / (times + 2))
        disturb(postgres_server)
        trial.wait_to_go_on()
    trial.end("F9", fault, disturbances=str(times), notes=f"{trial.cluster.restarts} restarts of the worker")
