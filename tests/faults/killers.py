"""Who kills what, every so often, while a job goes on."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable

import psutil

from tests.faults.cluster import Cluster


class Killer:
    """Kills something every so often, in a thread, while it is entered."""

    def __init__(
        self, cluster: Cluster, kill: Callable[[Cluster], bool], every_s: float, most: int = 10_000
    ) -> None:
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


def restart_redis(cluster: Cluster) -> bool:
    """SIGKILL Redis and start it again a second later."""
    cluster.redis.kill()
    time.sleep(1)
    cluster.redis.start()
    return True
