"""Long and large jobs: memory stays where it is, whatever the input size."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster
from tests.faults.gauge import Gauge, peak_mib, slope_mib
from tests.faults.pictures import write_photographs, write_tiny_files
from tests.faults.servers import wait_until
from tests.faults.trial import Expected, Trial
from tests.ports import free_port

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1500)]

RECORDED = "SELECT count(*) FROM images"
PRODUCER_MIB, REDIS_MIB = 150, 64
"""What the producer and Redis may take, for any number of files."""


def test_f18_the_memory_of_workers_and_flower_stays_where_it_is(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    count, warm = 5000, 1000
    trial = make_trial(Expected(write_photographs(tmp_path / "in", count), count), chunk_size=16)
    cluster = trial.cluster
    flower = cluster.start("flower", "--port", free_port(), MASKMILL_FLOWER_BASIC_AUTH="watcher:secret")
    with Gauge(cluster) as gauge:
        gauge.watch("flower", flower)
        trial.begin()
        cluster.wait_for(count, 1200)
    assert flower.poll() is None
    found = [slope_mib(samples, per=1000, after=warm) for samples in gauge.children.values()]
    slopes = [one for one in found if one is not None]
    (main,) = [slope_mib(samples, per=1000, after=warm) for samples in gauge.mains.values()]
    assert slopes
    assert main is not None
    trial.end(
        "F18",
        "memory over 5,000 images, Flower on",
        is_swept=True,
        notes=f"children {', '.join(f'{one:+.2f}' for one in slopes)} MiB per 1,000 images, main {main:+.2f}; "
        f"at the most {peak_mib(*gauge.children.values()):.0f} MiB a child, "
        f"Flower {peak_mib(gauge.watched['flower']):.0f}, Redis {peak_mib(gauge.redis):.1f}",
    )
    assert max(slopes) < 1.0
    assert main < 1.0


def recorded(cluster: Cluster) -> int:
    """Rows of images."""
    return int(cluster.rows(RECORDED)[0][0])


def start_producer(cluster: Cluster, folder: Path, gauge: Gauge, wanted: int) -> float:
    """Start `enqueue` and kill it once so many images are recorded; returns the seconds it took."""
    start = time.monotonic()
    producer = cluster.start_enqueue(folder)
    gauge.watch("producer", producer)
    wait_until(lambda: recorded(cluster) >= wanted, f"{wanted} rows", 900)
    seconds = time.monotonic() - start
    if wanted == count_of(folder):
        # All is recorded; it goes on sending, and nobody works.
        wait_until(cluster.is_full, "full queues")
        time.sleep(3)
    producer.kill()
    producer.wait()
    return seconds


def count_of(folder: Path) -> int:
    """Files of an input made by `write_tiny_files`."""
    return sum(len(list(one.iterdir())) for one in folder.iterdir())


def check_memory(cluster: Cluster, gauge: Gauge) -> str:
    """Assert that producer and Redis took no more than they may; returns what they took."""
    producer, redis = peak_mib(gauge.watched["producer"]), peak_mib(gauge.redis)
    depth = cluster.redis.depths()["detect"]
    assert 0 < producer < PRODUCER_MIB
    assert redis < REDIS_MIB
    assert depth <= 2000 + 100
    return f"producer {producer:.0f} MiB, Redis {redis:.1f} MiB, {depth} messages"


def test_f19_100000_tiny_files_survive_a_producer_killed_at_10_50_90_percent_and_anywhere(
    make_cluster: Callable[..., Cluster], note_figures: Callable[..., None], tmp_path: Path
) -> None:
    count = 100_000
    folder = write_tiny_files(tmp_path / "tiny", count)
    cluster = make_cluster(chunk_size=16)
    points = sorted([count // 10, count // 2, count * 9 // 10, random.randrange(count)])
    found: list[int] = []
    with Gauge(cluster) as gauge:
        for wanted in points:
            start_producer(cluster, folder, gauge, wanted)
            found.append(recorded(cluster))
        before = recorded(cluster)
        seconds = start_producer(cluster, folder, gauge, count)
    assert recorded(cluster) == count
    assert cluster.rows("SELECT count(DISTINCT stem) FROM images")[0][0] == count
    note_figures(
        "F19",
        "100,000 tiny files, producer killed at 10, 50, 90 % of the enumeration and at a random point",
        images=count,
        disturbances=f"{len(points)} kills",
        notes=f"killed at {', '.join(map(str, found))}; the last {count - before} recorded {seconds:.0f} s after "
        f"it began again; {check_memory(cluster, gauge)}",
    )
    shutil.rmtree(folder)


def test_f19_a_million_files_need_no_more_memory(
    make_cluster: Callable[..., Cluster], note_figures: Callable[..., None], tmp_path: Path
) -> None:
    count = 1_000_000
    folder = write_tiny_files(tmp_path / "tiny", count)
    cluster = make_cluster(chunk_size=16)
    with Gauge(cluster, every_s=2) as gauge:
        seconds = start_producer(cluster, folder, gauge, count)
    note_figures(
        "F19",
        "1,000,000 files recorded, no worker",
        images=count,
        notes=f"{count / seconds:.0f} files/s; {check_memory(cluster, gauge)}",
    )
    shutil.rmtree(folder)


def test_f19_10000_tiny_files_go_through_a_small_queue_to_the_end(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    """The producer is killed at a random point, then begins again."""
    count = 10_000
    folder = write_tiny_files(tmp_path / "tiny", count)
    trial = make_trial(Expected(folder, count), chunk_size=16, high_water=20)
    cluster = trial.cluster
    with Gauge(cluster) as gauge:
        cluster.start_worker()
        producer = cluster.start_enqueue(folder)
        gauge.watch("producer", producer)
        trial.wait_for(random.uniform(0.1, 0.9))
        producer.kill()
        producer.wait()
        begun, before = time.monotonic(), cluster.final()
        cluster.start_enqueue(folder)
        trial.wait_for(1)
        rate = (count - before) / (time.monotonic() - begun)
    findings = trial.end(
        "F19",
        "10,000 tiny files to the end, high-water mark 20, producer killed once",
        is_swept=True,
        disturbances=f"1 kill with {before} done",
        notes=f"{rate:.0f} images/s; {check_memory(cluster, gauge)}",
    )
    assert findings.states == {"missed": count}
