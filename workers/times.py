"""Where the seconds of a chunk go."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class PartTimes:
    """Wall-clock seconds per part of a stage, summed over threads, and totals of the task."""

    def __init__(self, carried_over: float = 0.0) -> None:
        """Start the clock.

        Args:
            carried_over: seconds of `sql` that the chunk before could not write into its own row.
        """
        self.started_at = time.time()
        self._wall = time.perf_counter()
        self._cpu = time.process_time()
        self._parts: dict[str, float] = defaultdict(float)
        self._parts["sql"] = carried_over
        self._lock = threading.Lock()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the body's time to a part."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            with self._lock:
                self._parts[name] += spent

    def seconds(self) -> dict[str, float]:
        """Seconds per part, with `total` (wall clock) and `cpu` (this process) so far."""
        return {
            **self._parts,
            "total": time.perf_counter() - self._wall,
            "cpu": time.process_time() - self._cpu,
        }
