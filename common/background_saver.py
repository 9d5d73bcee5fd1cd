"""Writes pictures in the background; what could not be written is told at the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from common.arrays import ImageBgr
from common.atomic_writer import AtomicWriter, Durability
from common.encoding import encode
from common.errors import ImageError, MaskmillError, UnsavedError, UsageError
from common.escaping import escape
from common.metadata import FilePath

_CALLS_KEPT = 4096


class BackgroundSaver:
    """Saves pictures below one folder, several at a time.

    ::

        with BackgroundSaver(b"out") as saver:
            saver.save("a.png", image_bgr, sub_folder="masks")
        # here every file is written, or UnsavedError was raised

    A file is written under a temporary name and renamed, so there is never a half one. Two files of the
    same name are written in the order of the calls. `save` and `close` may be called from one thread.
    """

    def __init__(
        self,
        folder: FilePath,
        *,
        threads: int = 4,
        max_waiting: int = 64,
        durability: Durability = "none",
    ) -> None:
        """Make the threads; the folder is made when the first file is written.

        Args:
            max_waiting: pictures in memory, at most: with so many under way `save` waits for one.
            durability: of each file; see `AtomicWriter`.
        """
        self._root = os.path.realpath(os.fsencode(folder))
        self._durability: Durability = durability
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="maskmill-saver")
        self._room = threading.BoundedSemaphore(max_waiting)
        self._latest: dict[bytes, Future[None]] = {}
        self._failures: list[tuple[bytes, MaskmillError]] = []
        self._is_closed = False

    def save(
        self,
        name: FilePath,
        image: ImageBgr | bytes,
        sub_folder: FilePath | None = None,
        *,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        """Save a picture as `<folder>/<sub_folder>/<name>`; returns at once.

        Args:
            name: of the file; a folder in it is dropped.
            image: (H, W, 3) uint8 BGR, encoded by the name's ending; or bytes, written as they are. Can be
                changed by the caller as soon as this returns.
            sub_folder: below the saver's folder; no `..`, not absolute.
            record: written into a PNG or TIFF; see `common.metadata`.

        Raises:
            UsageError: the name or the sub-folder is no such thing.
            ValueError: the saver is closed.
        """
        if self._is_closed:
            raise ValueError("this saver is closed: nothing more can be saved with it")
        final = os.path.join(self._root, *_folder_parts(sub_folder), _file_name(name))
        kept = image if isinstance(image, bytes) else image.copy()
        self._room.acquire()
        earlier = self._latest.get(final)
        try:
            self._latest[final] = self._pool.submit(self._save, final, kept, record, earlier)
        except BaseException:
            self._room.release()
            raise
        if len(self._latest) > _CALLS_KEPT:
            self._forget_done()

    @property
    def failures(self) -> tuple[tuple[bytes, MaskmillError], ...]:
        """(path, error) of each file that could not be written so far."""
        return tuple(self._failures)

    def close(self) -> None:
        """Wait until all is written. Can be called again.

        Raises:
            UnsavedError: some files could not be written; it names the first of them and has them all.
        """
        self._is_closed = True
        self._pool.shutdown(wait=True)
        self._forget_done()
        if self._failures:
            path, error = self._failures[0]
            raise UnsavedError(
                f"{len(self._failures)} files could not be saved; the first is {escape(path)}: {error}",
                self.failures,
            )

    def __enter__(self) -> BackgroundSaver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:  # the exception that is under way says more
            self._is_closed = True
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _save(
        self,
        final: bytes,
        image: ImageBgr | bytes,
        record: Mapping[str, Any] | None,
        earlier: Future[None] | None,
    ) -> None:
        try:
            # It was submitted before this one: it has ended or has a thread.
            if earlier is not None:
                earlier.result()
            data = image if isinstance(image, bytes) else encode(image, final, record=record)
            self._check_folder(final)
            with AtomicWriter(self._durability) as writer:
                writer.stage(final, data)
                writer.commit()
        except MaskmillError as exc:
            self._failures.append((final, exc))
        except ValueError as exc:  # no picture, or no record
            self._failures.append((final, UsageError(str(exc))))
        except MemoryError:
            self._failures.append((final, ImageError("out-of-memory", "there was too little memory for it")))
        finally:
            self._room.release()

    def _forget_done(self) -> None:
        """Drop calls that have ended; an error that nobody foresaw is raised here."""
        for path in [path for path, call in self._latest.items() if call.done()]:
            self._latest.pop(path).result()

    def _check_folder(self, final: bytes) -> None:
        """Refuse a folder that leads out of the saver's, through a link."""
        folder = os.path.realpath(os.path.dirname(final))
        if folder != self._root and not folder.startswith(self._root.rstrip(b"/") + b"/"):
            raise ImageError("outside-roots", f"a folder inside the output is expected, got {escape(folder)}")


def _file_name(name: FilePath) -> bytes:
    last = os.path.basename(os.fsencode(name))
    if last in (b"", b".", b"..") or b"\0" in last:
        raise UsageError(f"the name of a file is expected, got {os.fsdecode(name)!r}")
    return last


def _folder_parts(sub_folder: FilePath | None) -> list[bytes]:
    if sub_folder is None:
        return []
    path = os.fsencode(sub_folder)
    parts = path.split(b"/")
    if path.startswith(b"/") or b".." in parts or b"\0" in path:
        raise UsageError(f"a folder below the output is expected, got {os.fsdecode(path)!r}")
    return [part for part in parts if part not in (b"", b".")]
