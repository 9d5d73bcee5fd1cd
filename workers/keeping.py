"""Files that follow from others and can be made again: written whole or not at all, done without where they cannot be."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
import zlib
from pathlib import Path

_ABANDONED_S = 3600.0
"""A temporary file that is as old belongs to a process that was killed: writing one takes less than a second."""

_log = logging.getLogger(__name__)


_CHECK_BYTES = 4


def read_kept(path: Path) -> bytes | None:
    """Return what was kept in a file; None where that is nothing, or no longer whole."""
    try:
        with path.open("rb") as stream:
            content = stream.read(max(0, os.fstat(stream.fileno()).st_size - _CHECK_BYTES))
            end = stream.read()
    except OSError:
        return None  # not there yet, or not ours to read
    return content if content and end == _check(content) else None


def keep(path: Path, content: bytes) -> None:
    """Write a file and rename it into place; where that is not possible nothing is kept, and nothing is said.

    Nothing waits for the disk: after a power cut the file may be there without its content. So it ends with the CRC-32 of
    what stands before, and what is broken is taken for missing.

    Args:
        path: processes that write the same one at a time each leave a whole file there.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.write(_check(content))
        os.replace(temporary, path)
    except OSError as exc:
        _log.debug("%s is not kept: %s", path, exc)
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _sweep(folder: Path) -> None:
    for left in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()


def _check(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CHECK_BYTES, "big")
