"""Reads input files without trusting them; what writes output files is in `common.atomic_writer`.

Paths are bytes: a name that is not UTF-8 is a normal name.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from common.atomic_writer import AtomicWriter as AtomicWriter
from common.atomic_writer import Durability as Durability
from common.atomic_writer import sweep_temporaries as sweep_temporaries
from common.atomic_writer import write_atomically as write_atomically
from common.errors import ImageError, ImageErrorCode, TransientError
from common.escaping import escape

MAX_SOURCE_BYTES = 1 << 30

_READ_CODES: dict[int, tuple[ImageErrorCode, str]] = {
    errno.ENOENT: ("vanished", "nothing of that name"),
    errno.ENOTDIR: ("vanished", "a folder of its path that is none"),
    errno.ENAMETOOLONG: ("vanished", "a name longer than the file system allows"),
    errno.EACCES: ("forbidden", "no permission to read it"),
    errno.EPERM: ("forbidden", "no permission to read it"),
    errno.ELOOP: ("unreadable", "a loop of symbolic links"),
    errno.ENXIO: ("not-a-file", "a socket or a device"),
    errno.ENOMEM: ("out-of-memory", "too little memory"),
}


def read_source(
    path: bytes, *, roots: Sequence[bytes] | None, expect: tuple[int, int] | None = None
) -> bytes:
    """Read one input file.

    Never blocks on a pipe or device, never follows a link out of the roots.

    Args:
        path: any bytes.
        roots: folders, as `os.path.realpath` gives them, one of which the file must really lie in; None
            for no such limit.
        expect: (size in bytes, mtime in ns) when it was planned; a file that differs has changed.

    Raises:
        ImageError: `vanished`, `forbidden`, `not-a-file`, `unreadable` (a loop of links), `io-error`,
            `outside-roots`, `changed`, `empty`, `too-large` (over `MAX_SOURCE_BYTES`), `out-of-memory`.
        TransientError: this process has too many files open.
    """
    descriptor, status = open_source(path, roots=roots, expect=expect)
    try:
        return _read_regular(descriptor, status, path)
    except OSError as exc:
        raise _read_error(exc, path) from exc
    except MemoryError as exc:
        raise ImageError("out-of-memory", f"{escape(path)} does not fit into memory") from exc
    finally:
        os.close(descriptor)


@contextmanager
def opened_source(path: bytes) -> Iterator[BinaryIO]:
    """Open one regular file for reading here and there, where all of it is not needed.

    Raises:
        ImageError, TransientError: as `read_source`.
    """
    descriptor, _ = open_source(path, roots=None)
    try:
        with open(descriptor, "rb", closefd=False) as stream:
            yield stream
    except OSError as exc:
        raise _read_error(exc, path) from exc
    finally:
        os.close(descriptor)


def open_source(
    path: bytes, *, roots: Sequence[bytes] | None, expect: tuple[int, int] | None = None
) -> tuple[int, os.stat_result]:
    """Open an input file; returns a descriptor, for the caller to close, and what was found there.

    Arguments and errors are those of `read_source`; a file of any size is opened.
    """
    try:
        if roots is None:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        else:
            real = _real_path_inside(path, roots)
            descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as exc:
        raise _read_error(exc, path) from exc
    except ValueError as exc:  # a NUL byte: no such file can exist
        raise ImageError("vanished", f"file must exist, got a name with a NUL byte: {escape(path)}") from exc
    try:
        status = os.fstat(descriptor)
        _check_regular(status, path, expect)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def _real_path_inside(path: bytes, roots: Sequence[bytes]) -> bytes:
    real = os.path.realpath(path)
    if not any(real == root or real.startswith(root.rstrip(b"/") + b"/") for root in roots):
        raise ImageError("outside-roots", f"file must lie inside the input, got {escape(real)}")
    return real


def _check_regular(status: os.stat_result, path: bytes, expect: tuple[int, int] | None) -> None:
    shown = escape(path)
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("not-a-file", f"input must be a regular file, got {_kind_of(status)}: {shown}")
    found = (status.st_size, status.st_mtime_ns)
    if expect is not None and found != expect:
        raise ImageError("changed", f"file must be as planned {expect} (bytes, ns), got {found}: {shown}")
    if status.st_size == 0:
        raise ImageError("empty", f"file must have content, got 0 bytes: {shown}")


def _read_regular(descriptor: int, status: os.stat_result, path: bytes) -> bytes:
    shown = escape(path)
    if status.st_size > MAX_SOURCE_BYTES:
        raise ImageError(
            "too-large", f"file must have at most {MAX_SOURCE_BYTES} bytes, got {status.st_size}: {shown}"
        )
    # One byte more than there should be, so that a file that grows is seen.
    with open(descriptor, "rb", buffering=0, closefd=False) as stream:
        data = _read_up_to(stream, status.st_size + 1)
    if len(data) != status.st_size:
        raise ImageError("changed", f"file must keep its size while it is read, got {len(data)}: {shown}")
    return data


def _read_up_to(stream: io.FileIO, limit: int) -> bytes:
    """Read until the end of the file or the limit; one read may give less than there is."""
    parts = []
    while limit > 0 and (part := stream.read(limit)):
        parts.append(part)
        limit -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _kind_of(status: os.stat_result) -> str:
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(status.st_mode), "a device")


def _read_error(exc: OSError, path: bytes) -> ImageError | TransientError:
    shown = escape(path)
    if exc.errno in (errno.EMFILE, errno.ENFILE):
        return TransientError(f"cannot open {shown}: {exc.strerror}")
    code, found = _READ_CODES.get(exc.errno or 0, ("io-error", str(exc.strerror or exc)))
    return ImageError(code, f"file must be readable, got {found}: {shown}")
