"""Run a network on many items in batches that fit into memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy.typing as npt

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

    Attributes:
        batch: the most items given to the network at once.
    """

    def __init__(self, session: Session, to_input: Callable[[Sequence[Item]], Array], batch: int) -> None:
        """Take a session whose first input is one array made by `to_input` from some items."""
        self._session = session
        self._input_name: str = session.get_inputs()[0].name
        self._to_input = to_input
        self.batch = batch

    def run(self, items: Sequence[Item]) -> Iterator[list[Array]]:
        """Yield the outputs of one batch after the other, in order; together they cover all items.

        Raises:
            Exception: whatever the session raises; out of memory only when one item alone does not fit.
        """
        start = 0
        while start < len(items):
            some = items[start : start + self.batch]
            try:
                outputs = self._session.run(None, {self._input_name: self._to_input(some)})
            except _RUN_ERRORS as exc:
                if len(some) == 1 or not is_out_of_memory(exc):
                    raise
                self.batch = len(some) // 2
                _log.warning("out of memory with %d at once, going on with %d", len(some), self.batch)
                _log.debug("%s", first_line(exc))
                continue
            yield outputs
            start += len(some)


def is_out_of_memory(exc: BaseException) -> bool:
    """Tell whether an error of ONNX Runtime means that memory (of the device or the machine) ran out."""
    message = str(exc).lower()
    return isinstance(exc, MemoryError) or any(part in message for part in _OUT_OF_MEMORY)
