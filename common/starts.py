"""The starts of a worker's processes: one byte in a file where each begins, another where it is ready to work."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

STARTS_VARIABLE = "MASKMILL_STARTS"
"""Environment variable: path of the file. Unset: nobody wants to know."""

_BEGUN, _READY = b"b", b"r"


@contextlib.contextmanager
def noted_start() -> Iterator[None]:
    """Around all that a process does to start; an exception is no failure of it, the death of the process is."""
    _note(_BEGUN)
    try:
        yield
    finally:
        _note(_READY)


def vain_starts(path: Path) -> int:
    """How many processes have begun since the last one was ready; 0 without such a file."""
    try:
        noted = path.read_bytes()
    except FileNotFoundError:
        return 0
    return len(noted) - 1 - noted.rfind(_READY)


def _note(mark: bytes) -> None:
    path = os.environ.get(STARTS_VARIABLE)
    if path is not None:
        # Appending one byte is one step: processes beside each other do not mix.
        with open(path, "ab", buffering=0) as stream:
            stream.write(mark)
