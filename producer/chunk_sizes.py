"""How many images a message carries: so many that a task takes some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from common.pipeline import LARGEST_CHUNK

TARGET_S = 3.0
"""What a task should take that does both stages: claiming and storing a chunk cost 15 to 20 ms of CPU, half a percent
of this; and a stop, a death or the end of a job waits for a chunk at the most."""
FIRST = 16
"""Images a chunk until the first ones have been timed."""
_GROWTH = 8
"""A chunk is at most so many times as large as those before: one lucky chunk does not make a giant."""
_LOOK_EVERY_S = 2.0
_FIRST_LOOKS_EVERY_S = 0.2


class ChunkSizes:
    """The size of the chunks to send now, learned from those that were worked on."""

    def __init__(
        self,
        fixed: int | None,
        seconds_per_image: Callable[[], float | None],
        first: int = FIRST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin small.

        Args:
            fixed: the setting; None: learn.
            seconds_per_image: asks the ledger what an image takes in all stages; None: nothing is known yet.
            first: images a chunk until something is known.
            clock: seconds.
        """
        self._fixed = fixed
        self._seconds_per_image = seconds_per_image
        self._clock = clock
        self._size = first
        self.is_known = fixed is not None
        """Something was learned, or need not be."""
        self._look_at = clock()

    def now(self) -> int:
        """Images a message."""
        if self._fixed is not None:
            return self._fixed
        if self._clock() >= self._look_at:
            seconds = self._seconds_per_image()
            if seconds is not None:
                self.is_known = True
                self._size = min(size_for(seconds), self._size * _GROWTH)
            settled = seconds is not None and self._size == size_for(seconds)
            self._look_at = self._clock() + (_LOOK_EVERY_S if settled else _FIRST_LOOKS_EVERY_S)
        return self._size


def size_for(seconds_per_image: float) -> int:
    """Images that take `TARGET_S` together, 1 to `LARGEST_CHUNK`."""
    return max(1, min(LARGEST_CHUNK, round(TARGET_S / max(seconds_per_image, 1e-6))))
