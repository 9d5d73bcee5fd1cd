"""Reads ahead in the background: results come in the order of what was given, a few of them wait ready."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")

BUFFER = 8
"""Results that are ready or on their way, at most, unless the caller says otherwise."""


class BackgroundLoader(Generic[Item, Loaded]):
    """Iterates over `load(item)` for every item, in their order.

    ::

        with BackgroundLoader(paths, read_image) as images:
            for image_bgr in images:
                ...

    Loading begins at once. An exception of `load` is raised where its result would have come, as soon as the
    results before it are taken, with the traceback of the thread; the loader ends there. Nothing is shared
    between two loaders: each has its own threads and its own buffer. Leaving the `with` ends the threads.
    """

    def __init__(
        self, items: Iterable[Item], load: Callable[[Item], Loaded], *, buffer: int = BUFFER, threads: int = 4
    ) -> None:
        """Begin to load.

        Args:
            items: of any length; taken from only as results are consumed, in the consumer's thread.
            load: called in threads, several calls at once unless `threads` is 1.
            buffer: results that are ready or on their way, at most; at least 1.
            threads: that load, at most.
        """
        if buffer < 1 or threads < 1:
            raise ValueError(f"buffer and threads must be at least 1, got {buffer} and {threads}")
        self._items = iter(items)
        self._load = load
        self._buffer = buffer
        self._waiting: deque[Future[Loaded]] = deque()
        self._pool = ThreadPoolExecutor(min(buffer, threads), thread_name_prefix="maskmill-loader")
        self._is_closed = False
        self._fill()

    def __iter__(self) -> Iterator[Loaded]:
        return self

    def __next__(self) -> Loaded:
        if not self._waiting:
            self.close()
            raise StopIteration
        try:
            loaded = self._waiting.popleft().result()
            self._fill()
        except BaseException:
            self.close()
            raise
        return loaded

    def __enter__(self) -> BackgroundLoader[Item, Loaded]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop loading; waits for the calls that are under way. Can be called again."""
        self._is_closed = True
        self._waiting.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fill(self) -> None:
        if not self._is_closed:
            for item in islice(self._items, self._buffer - len(self._waiting)):
                self._waiting.append(self._pool.submit(self._load, item))
