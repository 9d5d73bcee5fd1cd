"""What the rows of `chunks` add up to: histograms of seconds and of how full the chunks were, and totals."""

from __future__ import annotations

import bisect
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from prometheus_client.core import HistogramMetricFamily

_SECONDS_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 90.0, 120.0)
_FILL_BUCKETS = (0.25, 0.5, 0.75, 0.9, 1.0)


class Histogram:
    """Counts per bucket and a sum; unlike the library's own it can be filled from rows."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value; a bound belongs to the bucket that it ends."""
        self._counts[bisect.bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: list[str]) -> None:
        """Add it to a page."""
        names = [*(str(bound) for bound in self._bounds), "+Inf"]
        counts = [float(count) for count in accumulate(self._counts)]
        family.add_metric(labels, list(zip(names, counts, strict=True)), self._sum)


@dataclass
class ChunkTally:
    """What all chunks so far add up to, fed row by row.

    Attributes:
        chunk_size: images that a full chunk has; None: learned, and how full chunks are is not told.
        ended_at: job row id → when the last of its chunks ended, seconds since 1970.
    """

    chunk_size: int | None
    stage_seconds: dict[str, Histogram] = field(default_factory=dict)
    part_seconds: dict[tuple[str, str], Histogram] = field(default_factory=dict)
    fill: dict[str, Histogram] = field(default_factory=dict)
    totals: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    ended_at: dict[int, float] = field(default_factory=dict)

    def add(self, chunk: Any) -> None:
        """Count one row of `chunks`."""
        stage = chunk.stage
        seconds = {k: float(v) for k, v in (chunk.seconds or {}).items() if isinstance(v, int | float)}
        total = seconds.pop("total", 0.0)
        self.stage_seconds.setdefault(stage, Histogram(_SECONDS_BUCKETS)).observe(total)
        for part, value in seconds.items():
            self.part_seconds.setdefault((stage, part), Histogram(_SECONDS_BUCKETS)).observe(value)
        if self.chunk_size is not None:
            self.fill.setdefault(stage, Histogram(_FILL_BUCKETS)).observe(chunk.images / self.chunk_size)
        for what in ("images", "faces", "artifacts", "undrawn"):
            self.totals[stage, what] += getattr(chunk, what)
        end = chunk.started_at + total
        self.ended_at[chunk.job_id] = max(end, self.ended_at.get(chunk.job_id, 0.0))
