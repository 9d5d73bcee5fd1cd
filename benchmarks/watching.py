"""CPU time and peak memory of a command and of everything it starts, by role, while it runs."""

from __future__ import annotations

import contextlib
import re
import subprocess
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import psutil

Role = Literal["run", "redis", "worker main", "worker"]

_EVERY_S = 0.25
"""Each process is looked at so often. Every 0.05 s, with its children looked for each time, took a tenth of a core from the
job that was watched."""
_LOOK_FOR_NEW = 2
"""New processes are looked for every so many times: the list of all of the machine's is read for that."""

_PEAK = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)


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
        """CPU seconds spent between two times."""
        return max(0.0, self._cpu_at(end) - self._cpu_at(start))

    def _cpu_at(self, when: float) -> float:
        """Between two samples as if it had been even."""
        return float(np.interp(when, self.clock, self.cpu, left=0.0))


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
        processes: list[psutil.Process] = []
        looks = 0
        while True:
            if looks % _LOOK_FOR_NEW == 0:
                with contextlib.suppress(psutil.Error):
                    processes = [self._root, *self._root.children(recursive=True)]
            looks += 1
            for process in processes:
                self._sample(process)
            if self._ended.wait(_EVERY_S):
                return

    def _sample(self, process: psutil.Process) -> None:
        try:
            times = process.cpu_times()
            one = self._found.get(process.pid)
            if one is None:
                one = self._found[process.pid] = Watched(self._role_of(process))
            one.clock.append(time.time())
            one.cpu.append(times.user + times.system)
            one.peak_mb = max(one.peak_mb, _peak_mb(process))
        except (psutil.Error, OSError):
            return

    def _role_of(self, process: psutil.Process) -> Role:
        if process.pid == self._root.pid:
            return "run"
        words = " ".join(process.cmdline())
        if "redis-server" in words or "valkey-server" in words:
            return "redis"
        parent = process.parent()
        return "worker main" if parent is not None and parent.pid == self._root.pid else "worker"


def _peak_mb(process: psutil.Process) -> float:
    """The largest resident memory that a process has had, where the system tells; else what it has now."""
    status = Path(f"/proc/{process.pid}/status")
    found = _PEAK.search(status.read_text("ascii", "replace")) if status.exists() else None
    return 1024 * int(found[1]) / 1e6 if found else process.memory_info().rss / 1e6
