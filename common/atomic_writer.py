"""Writes output files so that there is never a half one: a temporary name, then a rename.

Paths are bytes: a name that is not UTF-8 is a normal name.
"""

# Paths are bytes, which pathlib refuses.

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, TypeAlias

from common import temporaries
from common.errors import ImageError, TransientError
from common.escaping import escape

Durability: TypeAlias = Literal["none", "chunk", "file"]

_PATH_MAX = 4096
_LARGE_BYTES = 1 << 17
"""Files of this size begin to go to the disk at once; the sync of their chunk waits for less (docs/decisions.md)."""


def write_atomically(path: bytes, chunks: Iterable[bytes], *, mode: int | None = None) -> None:
    """Write a whole file that replaces the old one at once, durably; on an error the old one stays.

    Args:
        mode: permissions of the file; None for those of any new one.

    Raises:
        TransientError: the disk is full, read-only or away.
        ImageError: `forbidden` or `io-error`, when the name cannot be written.
    """
    with temporaries.translated(path):
        temporary, descriptor = temporaries.create(path)
        try:
            try:
                for chunk in chunks:
                    temporaries.write_all(descriptor, chunk)
                if mode is not None:
                    os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, path)
        except BaseException:
            temporaries.remove([temporary])
            raise
        temporaries.sync_path(os.path.dirname(path) or b".")


def sweep_temporaries(root: bytes, older_than_s: float) -> int:
    """Delete temporary files that a killed process left under a folder; nothing but our own.

    Symbolic links are not followed; folders that cannot be read are passed over.

    Args:
        root: folder, searched in depth; may be missing.
        older_than_s: seconds since the last write, by this machine's clock.

    Returns:
        The number of files deleted.
    """
    deadline = time.time() - older_than_s
    removed = 0
    folders = [root]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif temporaries.is_temporary(entry.name) and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        if entry.stat(follow_symlinks=False).st_mtime <= deadline:
                            os.unlink(entry.path)
                            removed += 1
    return removed


@dataclass(frozen=True)
class _Staged:
    temporary: bytes
    final: bytes


class AtomicWriter:
    """Writes the files of a chunk under temporary names and renames them all at once.

    ::

        with AtomicWriter("chunk") as writer:
            for image in chunk:
                with writer.group():            # an image that fails takes only its own files with it
                    writer.stage(b"out/a_aug0_buffalo.jpg", data)
            writer.commit()                     # one sync, all renames, one sync of each folder

    Leaving the `with` discards what was not committed. After `commit` the writer can be used again.
    """

    def __init__(self, durability: Durability = "chunk") -> None:
        """Set how sure the files are when `commit` returns.

        Args:
            durability: `none` leaves it to the system (a power cut may lose or empty files), `chunk` syncs
                their file systems once, `file` syncs each file.
        """
        self._durability = durability
        self._staged: list[_Staged] = []

    def __enter__(self) -> AtomicWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def stage(self, final: bytes, data: bytes) -> None:
        """Write data under a temporary name in the folder of its final name, which is created if missing.

        Raises:
            TransientError: the disk is full, read-only or away. The temporary file is removed.
            ImageError: `io-error` or `forbidden`: this name cannot be written (longer than 255 bytes, a
                folder of that name, a file where a folder is needed, no permission).
        """
        _check_final(final)
        with temporaries.translated(final):
            temporary, descriptor = temporaries.create(final)
            try:
                try:
                    temporaries.write_all(descriptor, data)
                    if self._durability == "file":
                        os.fsync(descriptor)
                    elif self._durability == "chunk" and len(data) >= _LARGE_BYTES:
                        temporaries.begin_writeback(descriptor)
                finally:
                    os.close(descriptor)  # a network file system may report the full disk only here
            except BaseException:
                temporaries.remove([temporary])
                raise
        self._staged.append(_Staged(temporary, final))

    @contextmanager
    def group(self) -> Iterator[None]:
        """Keep the files staged inside together: an exception discards them, and no others."""
        before = len(self._staged)
        try:
            yield
        except BaseException:
            self._discard_from(before)
            raise

    def commit(self) -> list[bytes]:
        """Give every staged file its final name, replacing what is there.

        Returns:
            The final names, in the order of staging.

        Raises:
            TransientError: any failure. Files renamed before it stay, the other temporaries are removed;
                doing the chunk again is safe.
        """
        finals = [entry.final for entry in self._staged]
        try:
            if self._durability == "chunk":
                temporaries.sync_file_systems(entry.temporary for entry in self._staged)
            waiting, self._staged = self._staged, []
            for place, entry in enumerate(waiting):
                try:
                    os.replace(entry.temporary, entry.final)
                except BaseException:
                    # What has its final name stays; the rest is discarded below.
                    self._staged = waiting[place:]
                    raise
            if self._durability != "none":
                for folder in sorted({os.path.dirname(final) or b"." for final in finals}):
                    temporaries.sync_path(folder)
        except OSError as exc:
            raise TransientError(f"cannot commit {len(finals)} files: {exc.strerror or exc}") from exc
        finally:
            self.discard()
        return finals

    def discard(self) -> None:
        """Remove everything that is staged and not committed."""
        self._discard_from(0)

    def _discard_from(self, index: int) -> None:
        temporaries.remove(entry.temporary for entry in self._staged[index:])
        del self._staged[index:]


def _check_final(final: bytes) -> None:
    name = os.path.basename(final)
    if not name or len(name) > temporaries.NAME_MAX or len(final) >= _PATH_MAX:
        raise ImageError(
            "io-error",
            f"name of an output file must have 1 to {temporaries.NAME_MAX} bytes, "
            f"got {len(name)}: {escape(final)}",
        )
    if os.path.isdir(final):
        raise ImageError("io-error", f"output must be a file, got a directory: {escape(final)}")
