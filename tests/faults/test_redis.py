"""Redis that dies, is emptied, is full, is frozen or goes silent."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.faults.cluster import Cluster
from tests.faults.conftest import Expected
from tests.faults.servers import Proxy, RedisServer, wait_until
from tests.faults.test_kills import pace, slowdown


@pytest.mark.parametrize(
    ("count", "away_s"), [(32, [1.0]), pytest.param(1000, [3.0, 3.0], marks=pytest.mark.soak)]
)
def test_f5_a_killed_redis_loses_no_image(
    make_cluster: Callable[..., Cluster],
    redis_server: RedisServer,
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
    count: int,
    away_s: list[float],
) -> None:
    expected = undisturbed(count)
    cluster = make_cluster(**pace(count))
    start = time.monotonic()
    cluster.enqueue(expected.folder)
    cluster.start_worker()
    recovered: list[float] = []
    for number, seconds in enumerate(away_s, 1):
        cluster.wait_for(count * 3 * number // 10, 300)
        redis_server.kill()
        time.sleep(seconds)
        redis_server.start()
        before = cluster.final()
        recovered.append(wait_until(lambda before=before: cluster.final() > before, "work to go on"))
    cluster.wait_done(300)
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": count}
    assert findings.tree_hash == expected.tree_hash
    if count > 100:
        note_figures(
            "F5",
            f"Redis killed, {away_s[0]:.0f} s away",
            images=count,
            disturbances=f"{len(away_s)} kills",
            lost=cluster.lost(),
            beyond_ideal=findings.beyond_ideal,
            more_starts=findings.more_starts,
            recovery_s=round(max(recovered), 1),
            slowdown=slowdown(start, expected),
            orphans=findings.temporaries,
        )


@pytest.mark.soak
def test_f5_a_storm_of_redis_restarts_loses_no_image(
    make_cluster: Callable[..., Cluster],
    redis_server: RedisServer,
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
) -> None:
    expected = undisturbed(1000)
    cluster = make_cluster(**pace(1000))
    start = time.monotonic()
    cluster.enqueue(expected.folder)
    cluster.start_worker()
    cluster.wait_for(1)
    for number in range(15):
        redis_server.kill()
        time.sleep(0.1 + number % 4)
        redis_server.start()
        time.sleep(0.1 + number % 3)
    back = time.monotonic()
    before = cluster.final()
    if before < 1000:
        wait_until(lambda: cluster.final() > before, "work to go on")
    recovery_s = round(time.monotonic() - back, 1)
    cluster.wait_done(300)
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": 1000}
    assert findings.tree_hash == expected.tree_hash
    note_figures(
        "F5",
        "storm of Redis restarts, 0.1 to 3 s apart",
        images=1000,
        disturbances="15 kills",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        recovery_s=recovery_s,
        slowdown=slowdown(start, expected),
        orphans=findings.temporaries,
    )


@pytest.mark.soak
def test_f5_a_redis_frozen_for_20_s_loses_no_image(
    make_cluster: Callable[..., Cluster],
    redis_server: RedisServer,
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
) -> None:
    expected = undisturbed(1000)
    cluster = make_cluster(**pace(1000))
    start = time.monotonic()
    cluster.enqueue(expected.folder)
    cluster.start_worker()
    cluster.wait_for(600, 300)
    with redis_server.paused():
        time.sleep(20)
    before = cluster.final()
    recovery_s = round(wait_until(lambda: cluster.final() > before, "work to go on"), 1)
    cluster.wait_done(300)
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": 1000}
    assert findings.tree_hash == expected.tree_hash
    note_figures(
        "F5",
        "Redis frozen for 20 s",
        images=1000,
        disturbances="1 freeze",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        recovery_s=recovery_s,
        slowdown=slowdown(start, expected),
        orphans=findings.temporaries,
    )


@pytest.mark.parametrize("count", [32, pytest.param(1000, marks=pytest.mark.soak)])
def test_f6_what_an_emptied_redis_held_is_sent_again(
    make_cluster: Callable[..., Cluster],
    redis_server: RedisServer,
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
    count: int,
) -> None:
    expected = undisturbed(count)
    cluster = make_cluster(**pace(count))
    start = time.monotonic()
    cluster.enqueue(expected.folder)
    cluster.start_worker()
    cluster.wait_for(count // 4, 300)
    redis_server.client.flushall()
    emptied = time.monotonic()
    still_open = cluster.open()
    wait_until(lambda: cluster.lost() > 0, "the loss to be noticed")
    notice_s = round(time.monotonic() - emptied, 1)
    cluster.wait_done(300)
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": count}
    assert findings.tree_hash == expected.tree_hash
    assert cluster.lost() <= still_open
    if count > 100:
        note_figures(
            "F6",
            "FLUSHALL in the middle",
            images=count,
            disturbances="1",
            lost=cluster.lost(),
            beyond_ideal=findings.beyond_ideal,
            more_starts=findings.more_starts,
            recovery_s=notice_s,
            slowdown=slowdown(start, expected),
            orphans=findings.temporaries,
            notes=f"{still_open} were open",
        )


@pytest.mark.soak
def test_f6_a_redis_restarted_empty_is_filled_again(
    make_cluster: Callable[..., Cluster],
    redis_server: RedisServer,
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
) -> None:
    expected = undisturbed(1000)
    cluster = make_cluster(**pace(1000))
    cluster.enqueue(expected.folder)
    cluster.start_worker()
    cluster.wait_for(500, 300)
    redis_server.kill()
    for path in (redis_server.folder / "appendonlydir").glob("*"):
        path.unlink()
    redis_server.start()
    back = time.monotonic()
    wait_until(lambda: cluster.lost() > 0, "the loss to be noticed")
    notice_s = round(time.monotonic() - back, 1)
    cluster.wait_done(300)
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": 1000}
    assert findings.tree_hash == expected.tree_hash
    note_figures(
        "F6",
        "Redis restarted empty",
        images=1000,
        disturbances="1",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        recovery_s=notice_s,
        orphans=findings.temporaries,
    )


@pytest.mark.soak
def test_f7_a_full_redis_is_waited_for(
    make_cluster: Callable[..., Cluster],
    redis_server: RedisServer,
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
) -> None:
    expected = undisturbed(1000)
    cluster = make_cluster(chunk_size=4, **pace(1000))
    cluster.start_worker()
    wait_until(lambda: bool(cluster.children()), "the pool")
    producer = cluster.start_enqueue(expected.folder)
    cluster.wait_for(50)
    redis_server.client.config_set("maxmemory", int(redis_server.used_memory() * 0.8))
    time.sleep(20)
    assert producer.poll() in (None, 0), (cluster.folder / "commands.log").read_text()
    redis_server.client.config_set("maxmemory", 0)
    before = cluster.final()
    recovery_s = round(wait_until(lambda: cluster.final() > before, "work to go on"), 1)
    cluster.wait_done(300)
    assert producer.wait(60) == 0, (cluster.folder / "commands.log").read_text()
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": 1000}
    assert findings.tree_hash == expected.tree_hash
    note_figures(
        "F7",
        "Redis full for 20 s",
        images=1000,
        disturbances="1",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        recovery_s=recovery_s,
        orphans=findings.temporaries,
        notes=f"{cluster.restarts} restarts of the worker",
    )


@pytest.mark.soak
def test_f8_silent_connections_are_given_up(
    make_cluster: Callable[..., Cluster],
    redis_server: RedisServer,
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
) -> None:
    expected = undisturbed(1000)
    proxy = Proxy(redis_server.port)
    cluster = make_cluster(broker_url=f"redis://127.0.0.1:{proxy.port}/0", **pace(1000))
    try:
        cluster.enqueue(expected.folder)
        cluster.start_worker()
        cluster.wait_for(300, 300)
        cut = proxy.cut()
        cut_at = time.monotonic()
        time.sleep(1)
        before = cluster.final()
        wait_until(lambda: cluster.final() > before + 16, "work to go on")
        recovery_s = round(time.monotonic() - cut_at, 1)
        cluster.wait_done(300)
    finally:
        proxy.close()
    findings = cluster.check(allow_temporaries=True)
    assert findings.states == {"done": 1000}
    assert findings.tree_hash == expected.tree_hash
    note_figures(
        "F8",
        "all connections to Redis half-open",
        images=1000,
        disturbances=f"{cut} connections",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        recovery_s=recovery_s,
        orphans=findings.temporaries,
    )
