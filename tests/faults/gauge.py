"""Memory of a cluster while a job goes on."""

from __future__ import annotations

import subprocess
import threading
from collections import defaultdict

import numpy as np
import psutil

from tests.faults.cluster import Cluster

MIB = 1 << 20
Samples = list[tuple[int, int]]
"""(final images, bytes) at one moment after the other."""


class Gauge:
    """Samples memory in a thread, while it is entered: of Redis, workers and what is watched.

    Attributes:
        redis: of Redis itself, as it says.
        mains: resident, of the main processes of the workers, by process.
        children: of their pools, by process.
        watched: of the processes given to `watch`, by name.
    """

    def __init__(self, cluster: Cluster, *, every_s: float = 0.5) -> None:
        self.redis: Samples = []
        self.mains: dict[int, Samples] = defaultdict(list)
        self.children: dict[int, Samples] = defaultdict(list)
        self.watched: dict[str, Samples] = defaultdict(list)
        self._processes: dict[str, psutil.Process] = {}
        self._cluster = cluster
        self._every_s = every_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def watch(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Sample this process too; another one of the same name takes its place."""
        self._processes[name] = psutil.Process(process.pid)

    def __enter__(self) -> Gauge:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(self._every_s):
            final = self._cluster.final()
            self.redis.append((final, self._cluster.redis.used_memory()))
            for process in self._cluster.mains():
                self._sample(self.mains[process.pid], final, process)
            for process in self._cluster.children():
                self._sample(self.children[process.pid], final, process)
            for name, process in list(self._processes.items()):
                self._sample(self.watched[name], final, process)

    def _sample(self, samples: Samples, final: int, process: psutil.Process) -> None:
        try:
            samples.append((final, process.memory_info().rss))
        except psutil.Error:
            return


def peak_mib(*series: Samples) -> float:
    """The highest of all samples, in MiB."""
    return max((memory for samples in series for _, memory in samples), default=0) / MIB


def slope_mib(samples: Samples, *, per: int, after: int) -> float | None:
    """Growth in MiB per so many images, by least squares, once `after` are final; None of a short life."""
    warm = [one for one in samples if one[0] > after]
    if len(warm) < 10 or warm[0][0] == warm[-1][0]:
        return None
    images, memory = np.array(warm, dtype=float).T
    return float(np.polyfit(images, memory, 1)[0] * per / MIB)
