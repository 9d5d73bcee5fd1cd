"""A trial: a job on a cluster of its own, from its pictures to what a fault cost it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import faultcheck
from tests.faults.cluster import Cluster
from tests.faults.servers import wait_until

MANY = 400
"""Images of a long job: some ten seconds of work, in which a fault finds something to break."""
SLOW = {"point": "decode", "when": "after", "do": "sleep", "seconds": 0.1}
"""Small pictures would be over before anything can be killed."""
PATIENT = {"soft_time_limit_s": 200, "time_limit_s": 230}
"""Settings for processes that are held: being held is no picture that takes too long."""


@dataclass(frozen=True)
class Expected:
    """An input and what an undisturbed run makes of it.

    Attributes:
        tree_hash: over all artifacts; None where nobody knows it.
        seconds: the run took; for the slowdown.
    """

    folder: Path
    count: int
    tree_hash: str | None = None
    seconds: float | None = None


@dataclass
class Trial:
    """One fault on one job."""

    cluster: Cluster
    expected: Expected
    note: Callable[..., None]
    recovered: list[float] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def begin(self, *, workers: int = 1, processes: int = 2) -> None:
        """Send the job, then start its workers."""
        self.cluster.enqueue(self.expected.folder)
        for _ in range(workers):
            self.cluster.start_worker(processes)

    def wait_for(self, share: float) -> None:
        """Wait until this share of the images is final."""
        self.cluster.wait_for(max(1, int(self.expected.count * share)), 600)

    def wait_to_go_on(self, since: float | None = None) -> None:
        """Wait until more images are final than now, and note how long that took.

        Args:
            since: monotonic seconds from which on it counts; now.
        """
        begin = time.monotonic() if since is None else since
        before = self.cluster.final()
        if before < self.expected.count:
            wait_until(lambda: self.cluster.final() > before, f"work to go on, {self.cluster.tail()}")
        self.recovered.append(time.monotonic() - begin)

    def end(
        self,
        name: str,
        fault: str,
        *,
        codes: Mapping[str, int] | None = None,
        is_swept: bool = False,
        refused: int = 0,
        **figures: Any,
    ) -> faultcheck.Findings:
        """Wait for the end, ask the oracle, compare with an undisturbed run, note what it cost.

        Args:
            codes: failed images that are expected, per error code; all others must be done.
            is_swept: temporary files may not be left either.
            refused: messages that were written down as not ours.
            figures: more of the table's columns, or others than those found here.
        """
        self.cluster.wait_done(600)
        findings = self.cluster.check(allow_temporaries=not is_swept)
        failed = dict(codes or {})
        assert findings.codes == failed, self.cluster.tail()
        if self.expected.tree_hash is not None:
            assert findings.tree_hash == self.expected.tree_hash
        assert findings.dead_letters == refused
        assert findings.states.get("failed", 0) == sum(failed.values())
        assert sum(findings.states.values()) == self.expected.count
        seconds = time.monotonic() - self.started
        found = {
            "images": self.expected.count,
            "lost": self.cluster.lost(),
            "beyond_ideal": findings.beyond_ideal,
            "recovery_s": round(max(self.recovered), 1) if self.recovered else None,
            "slowdown": round(seconds / self.expected.seconds, 1) if self.expected.seconds else None,
            "orphans": findings.temporaries,
        }
        self.note(name, fault, **{**found, **figures})
        return findings
