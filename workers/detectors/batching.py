"""Run a network on many items in batches that fit into memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy.typing as npt

from workers.detectors.feeding import Feeder, feeder_for
from workers.sessions import ORT_ERRORS, Session, first_line

Item = TypeVar("Item")
Array = npt.NDArray[Any]

_OUT_OF_MEMORY = (
    "failed to allocate memory",
    "out of memory",
    "out_of_memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "bad_alloc",
)
"""Parts of the messages of ONNX Runtime's arena, CUDA, cuBLAS and cuDNN, lower case."""

_RUN_ERRORS: tuple[type[Exception], ...] = (MemoryError, *ORT_ERRORS)

_log = logging.getLogger(__name__)


class BatchRunner(Generic[Item]):
    """Feeds a session; halves the batch when the device is out of memory, and remembers that size.

    On a GPU the next batch is made, and what was answered is worked up by the caller, while the device works.

    Attributes:
        batch: the most items given to the network at once.
    """

    def __init__(
        self,
        session: Session,
        to_input: Callable[[Sequence[Item]], Array] | None,
        batch: int,
        *,
        fill: Callable[[Sequence[Item], Callable[..., Array]], Array] | None = None,
        feeder: Feeder | None = None,
    ) -> None:
        """Take a session whose first input is one array made of some items.

        Args:
            to_input: makes it.
            fill: instead of that: makes it in memory that it asks for by shape and dtype.
            feeder: None: what suits the session's device.
        """
        if (to_input is None) == (fill is None):
            raise ValueError("give either to_input or fill")
        self._session = session
        self._input_name: str = session.get_inputs()[0].name
        self._to_input, self._fill = to_input, fill
        self._feeder = feeder_for(session) if feeder is None else feeder
        self.batch = batch

    @property
    def overlaps(self) -> bool:
        """The device works on a batch while the caller works up the answers to the last one."""
        return self._feeder.overlaps

    def run(self, items: Sequence[Item]) -> Iterator[list[Array]]:
        """Yield the outputs of one batch after the other, in order; together they cover all items.

        Raises:
            Exception: whatever the session raises; out of memory only when one item alone does not fit.
        """
        overlapped = self._feeder.overlaps and len(items) > self.batch
        return self._run_ahead(items) if overlapped else self._run_in_turn(items)

    def _run_in_turn(self, items: Sequence[Item]) -> Iterator[list[Array]]:
        start = 0
        while start < len(items):
            some = items[start : start + self.batch]
            try:
                outputs = self._feeder.run(self._input(some))
            except _RUN_ERRORS as exc:
                self._halve(len(some), exc)
                continue
            yield outputs
            start += len(some)

    def _run_ahead(self, items: Sequence[Item]) -> Iterator[list[Array]]:
        start, slot = 0, 0
        with ThreadPoolExecutor(1, thread_name_prefix="network") as pool:

            def send(some: Sequence[Item]) -> Future[list[Array]]:
                return pool.submit(self._feeder.run, self._input(some, slot))

            some = items[: self.batch]
            running = send(some)
            while some:
                # Made while the device works; the other slot is being read.
                slot = 1 - slot
                after = items[start + len(some) : start + len(some) + self.batch]
                ready = self._input(after, slot) if after else None
                try:
                    outputs = running.result()
                except _RUN_ERRORS as exc:
                    self._halve(len(some), exc)
                    some = items[start : start + self.batch]
                    running = send(some)
                    continue
                start += len(some)
                some = after
                if ready is not None:
                    running = pool.submit(self._feeder.run, ready)
                yield outputs

    def _input(self, some: Sequence[Item], slot: int = 0) -> Array:
        if self._fill is None:
            assert self._to_input is not None
            return self._to_input(some)
        return self._fill(some, lambda shape, dtype: self._feeder.buffer(shape, dtype, slot))

    def _halve(self, count: int, exc: Exception) -> None:
        """Go on with half of so many items after an error, or raise it."""
        if count == 1 or not is_out_of_memory(exc):
            raise exc
        self.batch = count // 2
        _log.warning("out of memory with %d at once, going on with %d", count, self.batch)
        _log.debug("%s", first_line(exc))


def is_out_of_memory(exc: BaseException) -> bool:
    """Tell whether an error of ONNX Runtime means that memory (of the device or the machine) ran out."""
    message = str(exc).lower()
    return isinstance(exc, MemoryError) or any(part in message for part in _OUT_OF_MEMORY)
