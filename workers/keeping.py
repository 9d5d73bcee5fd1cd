"""Files that follow from others and can be made again: written whole or not at all, done without where they cannot be."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_ABANDONED_S = 3600.0
"""A temporary file that is as old belongs to a process that was killed: writing one takes less than a second."""

_log = logging.getLogger(__name__)


def keep(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file and rename it into place; where that is not possible nothing is kept, and nothing is said.

    Nothing waits for the disk: after a power cut the file may be there without its content. So what is kept carries a
    checksum, and is made again where that is wrong.

    Args:
        path: processes that write the same one at a time each leave a whole file there.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
        with os.fdopen(handle, "wb") as stream:
            write(stream)
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
