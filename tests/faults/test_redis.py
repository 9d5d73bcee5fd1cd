"""Redis that dies, is emptied, is full, is frozen or goes silent."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.asked import held_at
from tests.faults.servers import Proxy, RedisServer, wait_until
from tests.faults.trial import MANY, PATIENT, SLOW, Trial


@pytest.mark.parametrize(
    ("count", "away_s"), [(32, [1.0]), pytest.param(MANY, [3.0, 3.0], marks=pytest.mark.soak)]
)
def test_f5_a_killed_redis_loses_no_image(
    make_trial: Callable[..., Trial], redis_server: RedisServer, count: int, away_s: list[float]
) -> None:
    trial = make_trial(count, faults=[SLOW] if count < 100 else [])
    trial.begin()
    for number, seconds in enumerate(away_s, 1):
        trial.wait_for(0.3 * number)
        redis_server.kill()
        time.sleep(seconds)
        redis_server.start()
        trial.wait_to_go_on()
    trial.end("F5", f"Redis killed, {away_s[0]:.0f} s away", disturbances=f"{len(away_s)} kills")


@pytest.mark.soak
def test_f5_a_storm_of_redis_restarts_loses_no_image(
    make_trial: Callable[..., Trial], redis_server: RedisServer
) -> None:
    trial = make_trial(MANY)
    trial.begin()
    trial.wait_for(0)
    for number in range(15):
        redis_server.kill()
        time.sleep(0.1 + number % 4)
        redis_server.start()
        time.sleep(0.1 + number % 3)
    trial.wait_to_go_on()
    trial.end("F5", "storm of Redis restarts, 0.1 to 3 s apart", disturbances="15 kills")


@pytest.mark.soak
def test_f5_a_redis_frozen_for_20_s_loses_no_image(
    make_trial: Callable[..., Trial], redis_server: RedisServer
) -> None:
    trial = make_trial(MANY)
    trial.begin()
    trial.wait_for(0.5)
    with redis_server.paused():
        time.sleep(20)
    trial.wait_to_go_on()
    trial.end("F5", "Redis frozen for 20 s", disturbances="1 freeze")


@pytest.mark.parametrize("count", [32, pytest.param(MANY, marks=pytest.mark.soak)])
def test_f6_what_an_emptied_redis_held_is_sent_again(
    make_trial: Callable[..., Trial], redis_server: RedisServer, tmp_path: Path, count: int
) -> None:
    is_small = count < 100
    # So few images would all be under way: two processes wait after two chunks of two each, the rest is in Redis.
    released = tmp_path / "released"
    trial = make_trial(
        count,
        faults=[held_at("store", released, skip=2)] if is_small else [],
        **({**PATIENT, "chunk_size": 2} if is_small else {}),
    )
    trial.begin()
    trial.wait_for(0.25)
    redis_server.client.flushall()
    still_open = trial.cluster.open()
    trial.recovered.append(wait_until(lambda: trial.cluster.lost() > 0, "the loss to be noticed"))
    released.touch()
    trial.end("F6", "FLUSHALL in the middle", disturbances="1", notes=f"{still_open} were open")
    assert trial.cluster.lost() <= still_open


@pytest.mark.soak
def test_f6_a_redis_restarted_empty_is_filled_again(
    make_trial: Callable[..., Trial], redis_server: RedisServer
) -> None:
    trial = make_trial(MANY)
    trial.begin()
    trial.wait_for(0.5)
    redis_server.kill()
    for path in (redis_server.folder / "appendonlydir").glob("*"):
        path.unlink()
    redis_server.start()
    trial.recovered.append(wait_until(lambda: trial.cluster.lost() > 0, "the loss to be noticed"))
    trial.end("F6", "Redis restarted empty", disturbances="1")


@pytest.mark.soak
def test_f7_a_full_redis_is_waited_for(make_trial: Callable[..., Trial], redis_server: RedisServer) -> None:
    trial = make_trial(MANY, chunk_size=4, faults=[{**SLOW, "seconds": 0.02}])
    cluster = trial.cluster
    cluster.start_worker()
    wait_until(lambda: bool(cluster.children()), "the pool")
    producer = cluster.start_enqueue(trial.expected.folder)
    trial.wait_for(0.1)
    redis_server.client.config_set("maxmemory", int(redis_server.used_memory() * 0.8))
    time.sleep(20)
    said = cluster.folder / "commands.log"
    assert producer.poll() in (None, 0), said.read_text()
    redis_server.client.config_set("maxmemory", 0)
    trial.wait_to_go_on()
    trial.end(
        "F7", "Redis full for 20 s", disturbances="1", notes=f"{cluster.restarts} restarts of the worker"
    )
    assert producer.wait(60) == 0, said.read_text()


@pytest.mark.soak
def test_f8_silent_connections_are_given_up(
    make_trial: Callable[..., Trial], redis_server: RedisServer
) -> None:
    proxy = Proxy(redis_server.port)
    trial = make_trial(MANY, broker_url=f"redis://127.0.0.1:{proxy.port}/0")
    cluster = trial.cluster
    try:
        trial.begin()
        trial.wait_for(0.3)
        cut = proxy.cut()
        cut_at = time.monotonic()
        time.sleep(1)
        before = cluster.final()
        wait_until(lambda: cluster.final() > before + 16, "work to go on")
        trial.recovered.append(time.monotonic() - cut_at)
        cluster.wait_done(300)
    finally:
        proxy.close()
    trial.end("F8", "all connections to Redis half-open", disturbances=f"{cut} connections")
