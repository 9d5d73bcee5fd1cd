"""Temporary files beside their final names: how they are called, made, written and made durable."""

# Paths are bytes, which pathlib refuses.

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

from common.errors import ImageError, TransientError
from common.escaping import escape

NAME_MAX = 255
_SUFFIX = b".maskmill.tmp"
# Enough of the name to recognise a left-over; short enough for any file system (eCryptfs allows 143 bytes).
_NAME_KEPT = 80
_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h
_OURS = re.compile(rb"\..*\.[0-9a-f]{16}\.maskmill\.tmp", re.DOTALL)

# The disk or its server is full, away, or out of handles: never the fault of one picture.
_TRANSIENT = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EROFS,
        errno.EIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOTCONN,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EAGAIN,
        errno.EBUSY,
    }
)


def is_temporary(name: bytes) -> bool:
    """Tell whether a file name (no folder) is one that `create` makes."""
    return _OURS.fullmatch(name) is not None


def create(final: bytes) -> tuple[bytes, int]:
    """Create an empty temporary file in the folder of a final name, and that folder if need be.

    Returns:
        (path, descriptor open for writing). Mode 0666 less the umask.

    Raises:
        OSError: as the system gives it.
    """
    folder, name = os.path.split(final)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    random = secrets.token_hex(8).encode("ascii")
    path = os.path.join(folder, b"." + name[:_NAME_KEPT] + b"." + random + _SUFFIX)
    try:
        return path, os.open(path, flags, 0o666)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=True)
        return path, os.open(path, flags, 0o666)


def write_all(descriptor: int, data: bytes) -> None:
    """Write everything: a signal, a full disk or 2 GiB make `os.write` stop early without an error."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def begin_writeback(descriptor: int) -> None:
    """Let the system begin to write a file's content to the disk, without waiting: a later `syncfs` waits less.

    Where it cannot be asked (no Linux) nothing happens; what goes wrong shows when the file is synced.
    """
    function = _find_sync_file_range()
    if function is not None:
        function(descriptor, 0, 0, _SYNC_FILE_RANGE_WRITE)


def remove(paths: Iterable[bytes]) -> None:
    """Delete files as far as possible; what cannot be deleted is left to the next sweep."""
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)


def sync_path(path: bytes) -> None:
    """Make one file or folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno != errno.EINVAL:  # some file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def sync_file_systems(paths: Iterable[bytes]) -> None:
    """Make all files durable: one `syncfs` for each file system they lie on, else one `fsync` each.

    For files of 30 kB `fsync` costs 3.5 ms each, one `syncfs` for a chunk 0.5 to 1 ms a file (spec §5).
    """
    syncfs = _find_syncfs()
    if syncfs is None:
        for path in paths:
            sync_path(path)
        return
    # The files of one folder lie on one file system.
    of_folder = {os.path.dirname(path): path for path in paths}
    seen: set[int] = set()
    for path in of_folder.values():
        device = os.lstat(path).st_dev
        if device not in seen:
            seen.add(device)
            syncfs(path)


@contextmanager
def translated(path: bytes) -> Iterator[None]:
    """Turn `OSError` while writing into our errors.

    Raises:
        TransientError: a condition of the disk: the job waits.
        ImageError: `forbidden` or `io-error`: this file cannot be written here, now or later.
    """
    try:
        yield
    except OSError as exc:
        raise write_error(exc, path) from exc


def write_error(exc: OSError, path: bytes) -> TransientError | ImageError:
    """Name the error of a write that failed."""
    message = f"cannot write {escape(path)}: {exc.strerror or exc}"
    if exc.errno in _TRANSIENT:
        return TransientError(message)
    return ImageError("forbidden" if exc.errno in (errno.EACCES, errno.EPERM) else "io-error", message)


@lru_cache(maxsize=1)
def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    function = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    found: Callable[[int, int, int, int], int] = function
    return found


@lru_cache(maxsize=1)
def _find_syncfs() -> Callable[[bytes], None] | None:
    """Wrap the C library's `syncfs`; None where there is none (macOS)."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if function is None:
        return None

    def syncfs(path: bytes) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if function(descriptor) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        finally:
            os.close(descriptor)

    return syncfs
