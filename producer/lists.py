"""`@list.txt`: one path a line, in any number, in bounded memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from common.escaping import unescape
from producer.videos import frame_of


@dataclass(frozen=True, slots=True)
class ListLine:
    """One line.

    Attributes:
        written: the path as written, unescaped; a relative one with the list's folder as given in front.
        absolute: where it leads.
    """

    written: bytes
    absolute: bytes

    @property
    def real_place(self) -> bytes:
        """The absolute path with its folder resolved; the last part may be a link and stays as named."""
        folder, name = os.path.split(self.absolute)
        return os.path.join(os.path.realpath(folder), name)


def list_lines(path: bytes) -> Iterator[ListLine]:
    """Every line of a list; blank lines are left out.

    A relative line is relative to the list's folder or, where it is not there, to the current folder,
    so that `missed_images.txt` of an output serves as a list.

    Raises:
        OSError: the list cannot be read.
    """
    folder = os.path.dirname(os.path.abspath(path))
    with open(path, "rb") as lines:
        for line in lines:
            if not line.strip():
                continue
            written = unescape(line.rstrip(b"\r\n").decode("utf-8", "surrogateescape"))
            absolute = os.path.normpath(os.path.join(folder, written))
            if not _is_there(absolute) and _is_there(written):
                yield ListLine(written, os.path.abspath(written))
            else:
                yield ListLine(os.path.join(os.path.dirname(path), written), absolute)


def _is_there(path: bytes) -> bool:
    """The file, or the video that the path is a frame of."""
    frame = frame_of(path)
    return os.path.lexists(path) or (frame is not None and os.path.lexists(frame[0]))


class ListIndex:
    """The lines of a list, sorted, each path once, and found by folder.

    They lie in a private SQLite database without a name: it stays in memory while small and goes to a
    temporary file, which the system removes, when it grows.
    """

    def __init__(self, path: bytes, root: bytes) -> None:
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.execute(
            "CREATE TABLE lines (path BLOB PRIMARY KEY, folder BLOB, name BLOB, written BLOB) WITHOUT ROWID"
        )
        rows = (_row(line, root) for line in list_lines(path))
        self._database.executemany("INSERT OR IGNORE INTO lines VALUES (?, ?, ?, ?)", rows)
        self._database.execute("CREATE INDEX by_folder ON lines (folder)")

    def entries(self) -> Iterator[tuple[bytes, bytes]]:
        """(path relative to the root, line as written), sorted by path."""
        yield from self._database.execute("SELECT path, written FROM lines ORDER BY path")

    def names_in(self, folder: bytes) -> list[bytes]:
        """File names of the lines in one folder, relative to the root."""
        return [
            name for (name,) in self._database.execute("SELECT name FROM lines WHERE folder = ?", (folder,))
        ]


def _row(line: ListLine, root: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    path = os.path.relpath(line.real_place, root)
    folder, name = os.path.split(path)
    return path, folder, name, line.written
