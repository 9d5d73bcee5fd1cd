"""Producers that are killed: the same command goes on, or the workers do it all."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.servers import wait_until
from tests.faults.trial import MANY, SLOW, Trial

SENT = "SELECT count(*) FROM images WHERE sent_at IS NOT NULL"


def test_f11_a_producer_killed_anywhere_goes_on_where_it_was(make_trial: Callable[..., Trial]) -> None:
    """Killed before and after it records, before and after it sends; the same command again each time."""
    trial = make_trial(32, chunk_size=1, high_water=8)
    cluster = trial.cluster
    for kills, (point, when) in enumerate(
        (("record", "before"), ("record", "after"), ("send", "before"), ("send", "after"))
    ):
        fault = [{"point": point, "when": when, "do": "kill", "skip": kills}]
        producer = cluster.start_enqueue(trial.expected.folder, **cluster.with_faults(fault))
        wait_until(lambda producer=producer: producer.poll() is not None or cluster.is_full(), "its death")
        if producer.poll() is None:
            producer.kill()
        producer.wait()
    cluster.start_worker()
    for _ in range(2):
        cluster.enqueue(trial.expected.folder)
    trial.end("F11", "producer killed while it records and sends", is_swept=True)


@pytest.mark.soak
def test_f11_a_producer_killed_at_10_50_and_90_percent_of_sending(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(MANY, high_water=5, faults=[{**SLOW, "seconds": 0.02}])
    cluster = trial.cluster
    cluster.start_worker()
    for percent in (10, 50, 90):
        producer = cluster.start_enqueue(trial.expected.folder)
        wait_until(
            lambda wanted=percent: cluster.rows(SENT)[0][0] >= wanted * MANY / 100, f"{percent} % sent", 300
        )
        producer.kill()
        producer.wait()
    cluster.enqueue(trial.expected.folder)
    trial.end(
        "F11",
        "producer killed at 10, 50 and 90 % of sending, same command again",
        is_swept=True,
        disturbances="3 kills",
    )


@pytest.mark.soak
@pytest.mark.parametrize("percent", [10, 50, 90])
def test_f11_workers_finish_the_job_of_a_dead_producer(
    make_trial: Callable[..., Trial], percent: int
) -> None:
    """The producer is killed when so many images are sent; nobody comes back to it."""
    trial = make_trial(MANY, high_water=5, faults=[{**SLOW, "seconds": 0.02}])
    cluster = trial.cluster
    producer = cluster.start_enqueue(trial.expected.folder)
    wait_until(cluster.is_full, "full queues")
    cluster.start_worker()
    wait_until(lambda: cluster.rows(SENT)[0][0] >= percent * MANY / 100, f"{percent} % sent", 300)
    producer.kill()
    producer.wait()
    killed = time.monotonic()
    cluster.wait_done(300)
    trial.end(
        "F11",
        f"producer killed for good at {percent} % sent",
        is_swept=True,
        disturbances="1 kill",
        notes=f"job ended {time.monotonic() - killed:.0f} s later without it",
    )
