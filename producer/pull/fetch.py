"""One model from its address into the cache: lock, download, unpack, compare, rename."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.errors import MaskmillError, UnfitError
from common.files import write_atomically
from common.settings import hide_secret
from common.weights import compare
from producer.pull.download import Broken, OnProgress, Patience, Refused, download
from producer.pull.manifest import Entry
from producer.pull.unpack import UnpackError, packing, unpacked

log = logging.getLogger("maskmill.models")


def fetch(
    entry: Entry,
    folder: Path,
    on_progress: OnProgress = lambda have, total: None,
    patience: Patience | None = None,
) -> tuple[Path, bool]:
    """Bring a model into the folder; what an interrupted call left is gone on with.

    Of several processes that want one file, one fetches it and the others wait.

    Returns:
        Its path, and whether it had to be fetched.

    Raises:
        UnfitError: it cannot be had, or the folder not be written; the message names the address and the
            folder for doing it by hand.
    """
    final = folder / entry.file
    with _written(folder):
        if compare(final, entry.sha256) == "ok":
            return final, False
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / f".{entry.file}.lock", entry.name):
            if compare(final, entry.sha256) == "ok":
                return final, False
            _fetch(entry, final, on_progress, patience or Patience())
    return final, True


def _fetch(entry: Entry, final: Path, on_progress: OnProgress, patience: Patience) -> None:
    # What was begun from another address, or for another content, is not gone on with.
    origin = hashlib.sha256(f"{entry.address}\n{entry.sha256}".encode()).hexdigest()[:12]
    part = final.with_name(f".{entry.file}.{origin}.part")
    kind = packing(unquote(urlsplit(entry.address).path))
    try:
        kept = download(entry.address, part, on_progress, patience, size=None if kind else entry.size)
        try:
            _accept(entry, kind, part, final)
        except UnpackError as exc:
            part.unlink()
            if not kept:
                raise
            log.warning("%s: %s; starting over, since a part came from an earlier call", entry.name, exc)
            download(entry.address, part, on_progress, patience, size=None if kind else entry.size)
            try:
                _accept(entry, kind, part, final)
            except UnpackError:
                part.unlink()
                raise
    except (Refused, Broken, UnpackError) as exc:
        raise UnfitError(
            f"the model {entry.name} cannot be had from {hide_secret(entry.address)}: {exc}; try again later, or fetch "
            f"it by hand{f', unpack it ({kind})' if kind else ''} and put it into {final.parent} as {entry.file}"
        ) from exc


def _accept(entry: Entry, kind: str, part: Path, final: Path) -> None:
    """Give the model its name, after comparing size and checksum.

    Raises:
        UnpackError: it is not the one that is expected.
    """

    def checked() -> Iterator[bytes]:
        digest = hashlib.sha256()
        for piece in unpacked(part, kind, entry.file, entry.member, entry.size):
            digest.update(piece)
            yield piece
        if digest.hexdigest() != entry.sha256:
            raise UnpackError(f"its sha256 is {digest.hexdigest()}, expected {entry.sha256}")

    if kind:
        write_atomically(os.fsencode(final), checked())
        part.unlink()
        return
    for _ in checked():
        pass
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(part, final)


@contextlib.contextmanager
def _lock(path: Path, name: str) -> Iterator[None]:
    """Hold a file for this process (flock): the kernel drops the lock however the process ends."""
    with path.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("another process fetches %s: waiting for it", name)
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Say in one sentence that the folder cannot be written.

    Raises:
        UnfitError: full, read-only, forbidden, a file of that name …
    """
    mend = "make room or permit it, or set XDG_CACHE_HOME to another folder"
    try:
        yield
    except UnfitError:
        raise
    except MaskmillError as exc:  # of the atomic writer, which names the file
        raise UnfitError(f"{exc}; {mend}") from exc
    except OSError as exc:
        again = "; what has come is kept" if exc.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise UnfitError(
            f"the folder of models {folder} cannot be written: {exc.strerror or exc}{again}; {mend}"
        ) from exc
