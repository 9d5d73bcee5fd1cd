"""IO binding on the CPU, where it must answer as a plain run does; and batches made ahead."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from common.weights import find
from workers.detectors.batching import BatchRunner
from workers.detectors.centerface import _FREE_AXES, CenterFace
from workers.detectors.centerface_input import to_input
from workers.detectors.feeding import BoundFeeder, PlainFeeder, ReusedMemory, feeder_for, page_lock
from workers.graphs import prepared_graph
from workers.onnx_runtime import ort
from workers.precision import pixel_graph
from workers.sessions import open_session

ASTRONAUT = np.ascontiguousarray(data.astronaut()[..., ::-1])


def session(pixels: bool = False) -> Any:
    graph = prepared_graph(find("centerface"), None, _FREE_AXES)
    return open_session(pixel_graph(graph) if pixels else graph, "cpu", 1)


def tensors() -> list[Any]:
    """Of several shapes, some twice in a row."""
    sizes = [(64, 64), (64, 64), (96, 64), (64, 64), (32, 128)]
    return [
        to_input(None, [cv2.resize(ASTRONAUT, size) for _ in range(1 + k % 2)])
        for k, size in enumerate(sizes)
    ]


def test_bound_memory_gives_what_a_plain_run_gives() -> None:
    opened = session()
    plain, bound = PlainFeeder(opened), BoundFeeder(opened, "cpu", 0)
    wanted = [[part.tobytes() for part in plain.run(tensor)] for tensor in tensors()]
    answers = [bound.run(tensor) for tensor in tensors()]
    # Looked at after the last run: an answer must not be written over by the next one.
    assert [[part.tobytes() for part in answer] for answer in answers] == wanted


def test_an_input_in_reused_memory_is_read_anew_each_time() -> None:
    bound = BoundFeeder(session(), "cpu", 0)
    memory = bound.buffer((1, 3, 64, 64), np.float32)
    memory[:] = 0
    dark = bound.run(memory)[0]
    memory[:] = to_input(None, [cv2.resize(ASTRONAUT, (64, 64))])
    assert not np.array_equal(bound.run(memory)[0], dark)


def test_a_device_without_room_for_one_input_takes_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = session()
    bound = BoundFeeder(opened, "cpu", 0)
    small, large = tensors()[0], tensors()[2]
    wanted = [part.tobytes() for part in bound.run(small)]
    allocate = ort.OrtValue.ortvalue_from_shape_and_type

    def full(shape: Sequence[int], *rest: Any) -> Any:
        if tuple(shape) == large.shape:
            raise RuntimeError("Failed to allocate memory for requested buffer")
        return allocate(shape, *rest)

    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", full)
    with pytest.raises(RuntimeError, match="Failed to allocate"):
        bound.run(large)
    assert [part.tobytes() for part in bound.run(small)] == wanted


def test_memory_is_the_same_until_it_is_too_small_and_slots_do_not_touch() -> None:
    pinned: list[int] = []
    memory = ReusedMemory(lambda piece: pinned.append(piece.size))
    first = memory.array((4, 5), np.float32)
    again = memory.array((2, 3), np.float32)
    assert again.ctypes.data == first.ctypes.data
    other = memory.array((4, 5), np.float32, slot=1)
    other[:] = 7
    first[:] = 1
    assert (other == 7).all()
    memory.array((40, 5), np.float32)
    assert pinned == [80, 80, 800], "each new piece is pinned, and only those"


def test_a_session_on_the_cpu_is_not_bound() -> None:
    assert isinstance(feeder_for(session()), PlainFeeder)


def test_a_device_that_cannot_be_bound_is_run_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a machine without a GPU answers to memory on one.
    monkeypatch.setattr("workers.detectors.feeding.cuda_index_of", lambda _: 0)
    assert isinstance(feeder_for(session()), PlainFeeder)


def test_without_the_cuda_runtime_memory_stays_unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.detectors.feeding._RUNTIMES", ("libno-such-runtime.so",))
    assert page_lock(np.zeros(10, np.uint8)) is False


class Runtime:
    """The two functions of the CUDA runtime that pin memory."""

    def __init__(self, answer: int) -> None:
        self.locked: dict[int, int] = {}

        def register(address: int, size: int, flags: int) -> int:
            assert flags == 1
            self.locked[address] = size
            return answer

        self.cudaHostRegister = _function(register)
        self.cudaHostUnregister = _function(lambda address: self.locked.pop(address) and 0)


def _function(call: Any) -> Any:
    """One that takes attributes, as those of ctypes do."""

    def function(*arguments: Any) -> Any:
        return call(*arguments)

    return function


@pytest.mark.parametrize(("answer", "is_pinned"), [(0, True), (1, False)])
def test_memory_is_pinned_as_long_as_it_lives(
    monkeypatch: pytest.MonkeyPatch, answer: int, is_pinned: bool
) -> None:
    runtime = Runtime(answer)
    monkeypatch.setattr("workers.detectors.feeding.ctypes.CDLL", lambda _: runtime)
    piece = np.zeros(100, np.uint8)
    assert page_lock(piece) is is_pinned
    assert runtime.locked == {piece.ctypes.data: 100}
    view = piece[:10].view(np.int8)
    del piece
    assert runtime.locked, "a view of it is still in use"
    del view
    assert (runtime.locked == {}) is is_pinned


class Device:
    """A feeder with a device that works by itself, and room for so many items."""

    overlaps = True

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[int] = []
        self.threads: set[int] = set()
        self._memory = ReusedMemory()

    def buffer(self, shape: Sequence[int], dtype: Any, slot: int = 0) -> Any:
        return self._memory.array(shape, dtype, slot)

    def run(self, array: Any) -> list[Any]:
        self.tried.append(len(array))
        self.threads.add(threading.get_ident())
        if len(array) > self.room:
            raise RuntimeError("CUDA failure 2: out of memory")
        return [array * 2]


def ahead(device: Device, batch: int, count: int) -> list[int]:
    def fill(items: Sequence[int], empty: Any) -> Any:
        memory = empty((len(items),), np.int64)
        memory[:] = items
        return memory

    fake: Any = SimpleNamespace(get_inputs=lambda: [SimpleNamespace(name="x")])
    runner: BatchRunner[int] = BatchRunner(fake, None, batch, fill=fill, feeder=device)
    return [int(value) for outputs in runner.run(range(count)) for value in outputs[0]]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 10, 12])
def test_batches_made_ahead_come_back_in_order(count: int) -> None:
    device = Device(room=100)
    assert ahead(device, 3, count) == [2 * number for number in range(count)]
    assert sum(device.tried) == count


def test_the_device_works_in_a_thread_of_its_own() -> None:
    device = Device(room=100)
    ahead(device, 3, 9)
    assert device.threads != {threading.get_ident()}


def test_memory_that_runs_out_halves_batches_made_ahead() -> None:
    device = Device(room=3)
    assert ahead(device, 8, 20) == [2 * number for number in range(20)]
    assert device.tried[:3] == [8, 4, 2]
    assert set(device.tried[3:]) == {2}


def test_one_item_that_does_not_fit_fails_when_made_ahead() -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        ahead(Device(room=0), 4, 9)


def test_the_way_to_a_gpu_finds_the_same_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels, bound memory and batches made ahead, on the CPU, against planes and plain runs."""

    def bound(opened: Any) -> BoundFeeder:
        feeder = BoundFeeder(opened, "cpu", 0)
        feeder.overlaps = True
        return feeder

    options: dict[str, Any] = {"score": 0.5, "nms_iou": 0.3, "side": 256}
    images = [
        ASTRONAUT,
        ASTRONAUT[:, ::-1],
        np.zeros((90, 200, 3), np.uint8),
        ASTRONAUT[:300],
        ASTRONAUT[::2, ::2],
    ]
    images = [np.ascontiguousarray(image) for image in (*images, *images)]
    plain = CenterFace(session(), batch=1, **options).detect(images)
    monkeypatch.setattr("workers.detectors.batching.feeder_for", bound)
    found = CenterFace(session(pixels=True), batch=2, **options).detect(images)
    assert sum(len(one) for one in plain) >= 8
    for one, other in zip(plain, found, strict=True):
        assert one.boxes_xyxy.tobytes() == other.boxes_xyxy.tobytes()
        assert one.scores.tobytes() == other.scores.tobytes()
