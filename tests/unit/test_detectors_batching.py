from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from workers.detectors.batching import BatchRunner, is_out_of_memory

ORT_MESSAGE = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. "
    "bfc_arena.cc:376 Failed to allocate memory for requested buffer of size 1073741824"
)


class Card:
    """A session that doubles numbers, and has memory for so many at once."""

    def __init__(self, room: int, message: str = ORT_MESSAGE) -> None:
        self.room, self.message = room, message
        self.tried: list[int] = []

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="x")]

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def run(self, _names: None, feed: dict[str, Any]) -> list[Any]:
        self.tried.append(len(feed["x"]))
        if len(feed["x"]) > self.room:
            raise RuntimeError(self.message)
        return [feed["x"] * 2]


def doubled(runner: BatchRunner[int], items: Sequence[int]) -> list[int]:
    return [int(value) for outputs in runner.run(items) for value in outputs[0]]


def test_items_come_back_in_order_in_batches_of_the_given_size() -> None:
    card = Card(room=100)
    assert doubled(BatchRunner(card, np.array, 3), range(7)) == [0, 2, 4, 6, 8, 10, 12]
    assert card.tried == [3, 3, 1]


def test_no_items_run_nothing() -> None:
    card = Card(room=1)
    assert doubled(BatchRunner(card, np.array, 4), []) == []
    assert card.tried == []


def test_out_of_memory_halves_the_batch_and_the_smaller_size_is_remembered() -> None:
    card = Card(room=3)
    runner = BatchRunner(card, np.array, 16)
    assert doubled(runner, range(16)) == [2 * number for number in range(16)]
    assert card.tried == [16, 8, 4, 2, 2, 2, 2, 2, 2, 2, 2]
    assert doubled(runner, range(4)) == [0, 2, 4, 6]
    assert card.tried[-2:] == [2, 2]


def test_one_item_that_does_not_fit_fails() -> None:
    card = Card(room=0)
    with pytest.raises(RuntimeError, match="Failed to allocate memory"):
        doubled(BatchRunner(card, np.array, 4), range(4))
    assert card.tried == [4, 2, 1]


def test_other_errors_are_not_tried_again() -> None:
    card = Card(room=1, message="Got invalid dimensions for input")
    with pytest.raises(RuntimeError, match="invalid dimensions"):
        doubled(BatchRunner(card, np.array, 4), range(4))
    assert card.tried == [4]


@pytest.mark.parametrize(
    "message",
    [
        ORT_MESSAGE,
        "CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);",
        "CUDA error CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "std::bad_alloc",
    ],
)
def test_the_messages_of_memory_that_ran_out_are_known(message: str) -> None:
    assert is_out_of_memory(RuntimeError(message))
    assert not is_out_of_memory(RuntimeError("CUDNN_STATUS_EXECUTION_FAILED"))
    assert is_out_of_memory(MemoryError())
