"""How many images a message carries: so many that a task takes some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from common.ledger.reports import Pace
from common.pipeline import LARGEST_CHUNK

TARGET_S = 3.0
"""What a task should take that does both stages: claiming and storing a chunk cost 15 to 20 ms of CPU, half a percent
of this; and a stop, a death or the end of a job waits for a chunk at the most."""
FIRST = 16
"""Images a chunk until the first ones have been timed."""
_LEAST_S = 0.2
"""At a job's end others wait so long at the most; claiming and storing are a twentieth of it."""
_GROWTH = 8
"""A chunk is at most so many times as large as those before: one lucky chunk does not make a giant."""
_ALIKE = 1.25
"""Two paces whose ratio is less are one: the processes are warm."""
_LOOK_EVERY_S = 2.0
_FIRST_LOOKS_EVERY_S = 0.2


class ChunkSizes:
    """The size of the chunks to send now, learned from those that were worked on."""

    def __init__(
        self,
        fixed: int | None,
        pace: Callable[[], Pace | None],
        first: Sequence[int] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin small.

        Args:
            fixed: the setting; None: learn.
            pace: asks the ledger what an image takes in all stages; None: nothing is known yet.
            first: sizes of the chunks to send before something is known; without any, `FIRST` images each.
            clock: seconds.
        """
        self._fixed = fixed
        self._pace = pace
        self._before: Pace | None = None
        self._clock = clock
        self._size = max(first, default=FIRST)
        self._first = tuple(first)
        self._opened = 0
        self.is_known = fixed is not None
        """Something was learned, or need not be."""
        self._is_settled = self.is_known
        self._look_at = clock()

    @property
    def is_growing(self) -> bool:
        """The size is not yet what was learned, or that changes still: few chunks should wait, which were cut too small."""
        return bool(self._first) and not self._is_settled

    def opening(self) -> Sequence[int] | None:
        """Sizes of the next chunks before something is known, as many as may wait; None: no limit, or it is known."""
        if self.is_known or not self._first:
            return None
        return (*self._first[self._opened :], *[self._size] * min(self._opened, len(self._first)))

    def opened(self, chunks: int) -> None:
        """So many chunks were sent."""
        self._opened += chunks

    def least(self) -> int:
        """Images of the smallest chunk that is worth its claim and its commit."""
        return max(1, round(self.now() * _LEAST_S / TARGET_S))

    def now(self) -> int:
        """Images a message."""
        if self._fixed is not None:
            return self._fixed
        if self._clock() >= self._look_at:
            self._learn()
            self._look_at = self._clock() + (_LOOK_EVERY_S if self._is_settled else _FIRST_LOOKS_EVERY_S)
        return self._size

    def _learn(self) -> None:
        pace = self._pace()
        if pace is None:
            return
        self.is_known = True
        wanted = size_for(pace.seconds_per_image)
        self._size = min(wanted, self._size * _GROWTH)
        before = self._before
        if before is not None and pace.newest > before.newest:
            quicker, slower = sorted((before.seconds_per_image, pace.seconds_per_image))
            self._is_settled |= self._size == wanted and slower < _ALIKE * quicker
        self._before = pace


def size_for(seconds_per_image: float) -> int:
    """Images that take `TARGET_S` together, 1 to `LARGEST_CHUNK`."""
    return max(1, min(LARGEST_CHUNK, round(TARGET_S / max(seconds_per_image, 1e-6))))
