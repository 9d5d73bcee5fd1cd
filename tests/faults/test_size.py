"""Long and large jobs: memory stays where it is, whatever the input size."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.faults.cluster import Cluster
from tests.faults.pictures import write_photographs, write_tiny_files
from tests.faults.servers import wait_until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

MIB = 1 << 20


class Gauge:
    """Samples memory in a thread: of processes by name, and of Redis."""

    def __init__(self, cluster: Cluster) -> None:
        self.producer: list[int] = []
        self.redis: list[int] = []
        self.children: dict[int, list[tuple[int, int]]] = {}
        self.mains: list[tuple[int, int]] = []
        self.watched: psutil.Process | None = None
        self._cluster = cluster
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Gauge:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(0.5):
            self.redis.append(self._cluster.redis.used_memory())
            final = self._cluster.final()
            try:
                if self.watched is not None and self.watched.is_running():
                    self.producer.append(self.watched.memory_info().rss)
                for main in self._cluster.mains():
                    self.mains.append((final, main.memory_info().rss))
                for child in self._cluster.children():
                    self.children.setdefault(child.pid, []).append((final, child.memory_info().rss))
            except psutil.Error:
                continue


def slope_mib(samples: list[tuple[int, int]], per: int) -> float:
    """Growth in MiB per so many images, by least squares."""
    images, memory = np.array(samples, dtype=float).T
    return float(np.polyfit(images, memory, 1)[0] * per / MIB)


def test_f18_the_memory_of_a_worker_stays_where_it_is_over_5000_images(
    make_cluster: Callable[..., Cluster],
    note_figures: Callable[..., None],
    tmp_path: Path,
) -> None:
    count = 5000
    pictures = write_photographs(tmp_path / "in", count)
    cluster = make_cluster(chunk_size=16, visibility_timeout_s=300)
    cluster.enqueue(pictures)
    with Gauge(cluster) as gauge:
        cluster.start_worker()
        cluster.wait_for(count, 800)
    cluster.wait_done()
    assert cluster.check().states == {"done": count}
    warm = [[one for one in samples if one[0] > 1000] for samples in gauge.children.values()]
    slopes = [slope_mib(samples, 1000) for samples in warm if len(samples) > 10]
    main_slope = slope_mib([one for one in gauge.mains if one[0] > 1000], 1000)
    peak = max(memory for samples in gauge.children.values() for _, memory in samples)
    note_figures(
        "F18",
        "memory over 5,000 images",
        images=count,
        disturbances="",
        lost=cluster.lost(),
        notes=f"children {', '.join(f'{one:+.2f}' for one in slopes)} MiB per 1,000 images, main {main_slope:+.2f}; "
        f"peak {peak / MIB:.0f} MiB a child, Redis {max(gauge.redis) / MIB:.1f} MiB",
    )
    assert slopes
    assert max(slopes) < 1.0
    assert main_slope < 1.0


def test_f19_100000_tiny_files_need_little_memory_and_survive_a_kill(
    make_cluster: Callable[..., Cluster], note_figures: Callable[..., None], tmp_path: Path
) -> None:
    """The producer is killed somewhere, then goes on; the queues are full and nobody works."""
    count = 100_000
    folder = write_tiny_files(tmp_path / "tiny", count)
    cluster = make_cluster(chunk_size=16)
    recorded = "SELECT count(*) FROM images"
    with Gauge(cluster) as gauge:
        producer = cluster.start_enqueue(folder)
        gauge.watched = psutil.Process(producer.pid)
        kill_at = random.randrange(10_000, 80_000)
        wait_until(lambda: cluster.rows(recorded)[0][0] >= kill_at, "rows")
        producer.kill()
        producer.wait()
        found_by_kill = cluster.rows(recorded)[0][0]
        start = time.monotonic()
        producer = cluster.start_enqueue(folder)
        gauge.watched = psutil.Process(producer.pid)
        wait_until(lambda: cluster.rows(recorded)[0][0] == count, "all rows", 300)
        seconds = time.monotonic() - start
        wait_until(cluster.is_full, "full queues")
        time.sleep(3)
        producer.kill()
        producer.wait()
    assert cluster.redis.depths()["detect"] <= 2000 + 100
    rate = (count - found_by_kill) / seconds
    redis_mib, producer_mib = max(gauge.redis) / MIB, max(gauge.producer) / MIB
    note_figures(
        "F19",
        "100,000 tiny files, producer killed at a random point",
        images=count,
        disturbances="2 kills",
        notes=f"killed at {found_by_kill}; all recorded {seconds:.0f} s after it began again, {rate:.0f} new files/s; "
        f"producer {producer_mib:.0f} MiB, Redis {redis_mib:.1f} MiB",
    )
    assert redis_mib < 64
    assert producer_mib < 150


def test_f19_200000_files_need_no_more_memory_than_100000(
    make_cluster: Callable[..., Cluster], note_figures: Callable[..., None], tmp_path: Path
) -> None:
    count = 200_000
    folder = write_tiny_files(tmp_path / "tiny", count)
    cluster = make_cluster(chunk_size=16)
    recorded = "SELECT count(*) FROM images"
    with Gauge(cluster) as gauge:
        start = time.monotonic()
        producer = cluster.start_enqueue(folder)
        gauge.watched = psutil.Process(producer.pid)
        wait_until(lambda: cluster.rows(recorded)[0][0] == count, "all rows", 300)
        seconds = time.monotonic() - start
        wait_until(cluster.is_full, "full queues")
        time.sleep(3)
        producer.kill()
        producer.wait()
    depth = cluster.redis.depths()["detect"]
    note_figures(
        "F19",
        "200,000 tiny files (instead of 1 M), no worker",
        images=count,
        disturbances="",
        notes=f"{count / seconds:.0f} files/s; producer {max(gauge.producer) / MIB:.0f} MiB, "
        f"Redis {max(gauge.redis) / MIB:.1f} MiB, {depth} messages",
    )
    assert depth <= 2000 + 100
    assert max(gauge.redis) < 64 * MIB
    assert max(gauge.producer) < 150 * MIB


def test_f19_10000_tiny_files_go_through_a_small_queue_to_the_end(
    make_cluster: Callable[..., Cluster], note_figures: Callable[..., None], tmp_path: Path
) -> None:
    count = 10_000
    folder = write_tiny_files(tmp_path / "tiny", count)
    cluster = make_cluster(chunk_size=16, high_water=20)
    with Gauge(cluster) as gauge:
        cluster.start_worker()
        start = time.monotonic()
        cluster.start_enqueue(folder)
        cluster.wait_for(count, 600)
        seconds = time.monotonic() - start
    cluster.wait_done()
    findings = cluster.check()
    assert findings.states == {"missed": count}
    note_figures(
        "F19",
        "10,000 tiny files to the end, high-water mark 20",
        images=count,
        disturbances="",
        lost=cluster.lost(),
        beyond_ideal=findings.beyond_ideal,
        more_starts=findings.more_starts,
        notes=f"{count / seconds:.0f} images/s, Redis {max(gauge.redis) / MIB:.1f} MiB",
    )
