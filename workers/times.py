"""Where the seconds of a chunk go."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass


@dataclass
class Between:
    """What a process did between two chunks, known when the next one begins.

    Attributes:
        ended_cpu: CPU seconds of the process when the last chunk was stored; 0 before the first.
        storing_s: wall-clock seconds that storing it took: its own row was written by then.
        storing_cpu_s: CPU seconds likewise.
    """

    ended_cpu: float = 0.0
    storing_s: float = 0.0
    storing_cpu_s: float = 0.0


class _Part:
    """One stay in a part: a class, as a generator's context takes three times as long, a dozen times an image."""

    __slots__ = ("_cpu", "_name", "_start", "_times")

    def __init__(self, times: PartTimes, name: str) -> None:
        self._times, self._name = times, name

    def __enter__(self) -> None:
        self._start, self._cpu = time.perf_counter(), time.thread_time()

    def __exit__(self, *_: object) -> None:
        self._times.add(self._name, time.perf_counter() - self._start, time.thread_time() - self._cpu)


class PartTimes:
    """Wall-clock and CPU seconds per part of a stage, summed over threads, and totals of the task."""

    def __init__(self, between: Between | None = None) -> None:
        """Start the clocks.

        Args:
            between: what went before in this process; storing counts as `sql` (in CPU seconds as
                `store`), the rest as `queue` or, before the first chunk, `start`. It is used up by this.
        """
        self.started_at = time.time()
        self._wall = time.perf_counter()
        self._cpu_start = time.process_time()
        self._parts: dict[str, float] = defaultdict(float)
        self._cpu: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        if between is not None:
            self._parts["sql"] = between.storing_s
            self._cpu["store"] = between.storing_cpu_s
            self._cpu["queue" if between.ended_cpu else "start"] = self._cpu_start - between.ended_cpu
            between.storing_s = between.storing_cpu_s = 0.0

    def part(self, name: str) -> _Part:
        """For `with`: count the body's time to a part."""
        return _Part(self, name)

    def add(self, name: str, wall_s: float, cpu_s: float) -> None:
        """Count seconds to a part."""
        with self._lock:
            self._parts[name] += wall_s
            self._cpu[name] += cpu_s

    def seconds(self) -> dict[str, float]:
        """Seconds per part, with `total` (wall clock) and `cpu` (this process) so far."""
        return {
            **self._parts,
            "total": time.perf_counter() - self._wall,
            "cpu": time.process_time() - self._cpu_start,
        }

    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds per part so far; `store`, `queue` and `start` were spent before this chunk began."""
        return dict(self._cpu)
