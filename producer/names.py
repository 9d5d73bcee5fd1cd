"""The names of one folder: sorted, and iterated again and again, in bounded memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice

_IN_MEMORY = 50_000
"""Names kept in a list: about 5 MB."""


def sorted_names(names: Iterable[bytes]) -> Iterator[bytes]:
    """The names in sorted order.

    Many are sorted in a SQLite database without a name, which goes to a temporary file as it grows.
    """
    iterator = iter(names)
    first = list(islice(iterator, _IN_MEMORY + 1))
    if len(first) <= _IN_MEMORY:
        yield from sorted(first)
        return
    database = sqlite3.connect("", check_same_thread=False)
    database.execute("CREATE TABLE names (name BLOB PRIMARY KEY) WITHOUT ROWID")
    database.executemany(
        "INSERT OR IGNORE INTO names VALUES (?)", ((name,) for name in chain(first, iterator))
    )
    del first
    yield from (name for (name,) in database.execute("SELECT name FROM names ORDER BY name"))


class NamesAgain:
    """Names that are enumerated anew each time they are iterated."""

    def __init__(self, enumerate_names: Callable[[], Iterable[bytes]]) -> None:
        self._enumerate = enumerate_names

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._enumerate())
