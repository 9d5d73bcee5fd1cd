"""CPU time and peak memory of a command and of everything it starts, by role, while it runs."""

from __future__ import annotations

import bisect
import subprocess
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

import psutil

Role = Literal["run", "redis", "worker main", "worker"]

_EVERY_S = 0.05


@dataclass
class Watched:
    """One process.

    Attributes:
        clock: times of the samples, seconds since 1970.
        cpu: CPU seconds of the process at those times.
        peak_mb: largest resident memory, megabytes (10⁶ bytes), the shared libraries' pages included.
    """

    role: Role
    clock: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mb: float = 0.0

    def cpu_between(self, start: float, end: float) -> float:
        """CPU seconds spent between two times, to a sample."""
        return max(0.0, self._cpu_at(end) - self._cpu_at(start))

    def _cpu_at(self, when: float) -> float:
        index = bisect.bisect_right(self.clock, when)
        return self.cpu[index - 1] if index else 0.0


class Watcher:
    """Samples a process and its descendants in a thread until it has ended; a context manager."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._root = psutil.Process(process.pid)
        self._found: dict[int, Watched] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def by_role(self) -> dict[Role, list[Watched]]:
        """The processes seen, by role."""
        roles: dict[Role, list[Watched]] = defaultdict(list)
        for one in self._found.values():
            roles[one.role].append(one)
        return roles

    def _run(self) -> None:
        while not self._ended.wait(_EVERY_S):
            try:
                for process in (self._root, *self._root.children(recursive=True)):
                    self._sample(process)
            except psutil.Error:
                continue

    def _sample(self, process: psutil.Process) -> None:
        try:
            times = process.cpu_times()
            one = self._found.get(process.pid)
            if one is None:
                one = self._found[process.pid] = Watched(self._role_of(process))
            one.clock.append(time.time())
            one.cpu.append(times.user + times.system)
            one.peak_mb = max(one.peak_mb, process.memory_info().rss / 1e6)
        except psutil.Error:
            return

    def _role_of(self, process: psutil.Process) -> Role:
        if process.pid == self._root.pid:
            return "run"
        words = " ".join(process.cmdline())
        if "redis-server" in words or "valkey-server" in words:
            return "redis"
        parent = process.parent()
        return "worker main" if parent is not None and parent.pid == self._root.pid else "worker"
