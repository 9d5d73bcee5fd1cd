"""New rows of `chunks`, each once, in pages of bounded size."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, func, select

from common.models import Chunk

_PAGE = 5000
_SETTLE_S = 120.0
"""A row may be committed later than one with a higher id, by no more than this: ids are drawn in a
transaction, which the database ends after 60 s at the latest."""
_OVERLAP = 1000
"""Ids below the highest one that may still be missing at the start: more than there are processes."""


class ChunkReader:
    """Reads each row of `chunks` once, in pages by id, late ones included."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = 0
        self._settled: int | None = None
        self._seen: set[int] = set()
        self._marks: deque[tuple[float, int]] = deque()

    def read(self, connection: Connection) -> Iterator[Any]:
        """Rows that were not read before."""
        top = connection.execute(select(func.max(Chunk.id))).scalar_one() or 0
        if top < self._last:
            # SQLite gives the ids of deleted rows again.
            self._last, self._settled = top, top
            self._seen.clear()
            self._marks.clear()
        low = self._settled or 0
        while True:
            query = select(Chunk.__table__).where(Chunk.id > low).order_by(Chunk.id).limit(_PAGE)
            rows = connection.execute(query).all()
            for row in rows:
                if row.id not in self._seen:
                    # Before it is handed out: a connection that breaks now must not make it count twice.
                    self._seen.add(row.id)
                    yield row
            if rows:
                low = rows[-1].id
                if self._settled is None:
                    self._forget(low - _OVERLAP)
            if len(rows) < _PAGE:
                break
        self._last = max(self._last, low)
        if self._settled is None:
            self._settled = max(0, self._last - _OVERLAP)
        self._settle()

    def _settle(self) -> None:
        now = self._clock()
        self._marks.append((now, self._last))
        settled = self._settled or 0
        while self._marks and now - self._marks[0][0] > _SETTLE_S:
            settled = max(settled, self._marks.popleft()[1])
        if settled != self._settled:
            self._settled = settled
            self._forget(settled)

    def _forget(self, up_to: int) -> None:
        self._seen = {one for one in self._seen if one > up_to}
