"""The way of a batch into a session and of its answers back: plainly, or through memory bound to a device."""

from __future__ import annotations

import ctypes
import logging
import math
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from workers.onnx_runtime import ort
from workers.sessions import ORT_ERRORS, Session, cuda_index_of, first_line

Array = npt.NDArray[Any]

# cudaHostRegisterPortable of the CUDA runtime: pinned for every context of the process.
_PORTABLE = 1
# The runtime that the CUDA provider of onnxruntime-gpu 1.31 is linked with, and the one of older builds.
_RUNTIMES = ("libcudart.so.13", "libcudart.so.12")

_log = logging.getLogger(__name__)


class Feeder(Protocol):
    """Runs a session whose only input is one array."""

    overlaps: bool
    """The device works by itself: the next batch can be made while it does."""

    def buffer(self, shape: Sequence[int], dtype: npt.DTypeLike, slot: int = 0) -> Array:
        """Return memory for an input, from which the way into the session is the shortest; its content is anything.

        Valid until the next call with the same slot.
        """

    def run(self, array: Array) -> list[Array]:
        """Return the outputs; they stay as they are when the session runs again."""


class PlainFeeder:
    """The session's own `run`: on the CPU nothing is copied."""

    overlaps = False

    def __init__(self, session: Session) -> None:
        """Take an open session."""
        self._session = session
        self._name: str = session.get_inputs()[0].name
        self._memory = ReusedMemory()

    def buffer(self, shape: Sequence[int], dtype: npt.DTypeLike, slot: int = 0) -> Array:
        """Return reused memory."""
        return self._memory.array(shape, dtype, slot)

    def run(self, array: Array) -> list[Array]:
        """Run once."""
        outputs: list[Array] = self._session.run(None, {self._name: array})
        return outputs


class BoundFeeder:
    """IO binding: pinned memory here, one input on the device that is kept while the shape stays, outputs to the CPU.

    Attributes:
        overlaps: true of a GPU.
    """

    def __init__(self, session: Session, device: str, index: int) -> None:
        """Take an open session.

        Args:
            device: `cuda`, or `cpu`, which copies once more but gives the same answers.
            index: number of the device.
        """
        self.overlaps = device != "cpu"
        self._session = session
        self._device, self._index = device, index
        self._name: str = session.get_inputs()[0].name
        self._outputs: list[str] = [output.name for output in session.get_outputs()]
        self._binding = session.io_binding()
        # Found out here: a build that cannot allocate on the device raises.
        ort.OrtValue.ortvalue_from_shape_and_type([1], np.float32, device, index)
        self._input: Any = None
        self._bound: tuple[tuple[int, ...], np.dtype[Any]] | None = None
        self._memory = ReusedMemory(page_lock if device == "cuda" else None)

    def buffer(self, shape: Sequence[int], dtype: npt.DTypeLike, slot: int = 0) -> Array:
        """Return reused memory, pinned where the CUDA runtime allows it."""
        return self._memory.array(shape, dtype, slot)

    def run(self, array: Array) -> list[Array]:
        """Copy to the device, run once, copy back; both copies have ended when this returns."""
        if self._bound != (array.shape, array.dtype):
            # The old memory goes first: there may be no room for both.
            self._binding.clear_binding_inputs()
            self._input = self._bound = None
            self._input = ort.OrtValue.ortvalue_from_shape_and_type(
                array.shape, array.dtype.type, self._device, self._index
            )
            self._binding.bind_ortvalue_input(self._name, self._input)
            self._bound = array.shape, array.dtype
        # Blocks until the device has the numbers.
        self._input.update_inplace(array)
        for name in self._outputs:
            # Each time: what the last run was answered with would be taken for this one's memory.
            self._binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(self._binding)
        outputs: list[Array] = self._binding.copy_outputs_to_cpu()
        return outputs


def feeder_for(session: Session) -> Feeder:
    """Return a bound feeder for a session on a GPU, where ONNX Runtime can bind its input; else a plain one."""
    index = cuda_index_of(session)
    if index is None:
        return PlainFeeder(session)
    try:
        return BoundFeeder(session, "cuda", index)
    except ORT_ERRORS as exc:
        _log.info("inputs are not bound to the device: %s", first_line(exc))
        return PlainFeeder(session)


class ReusedMemory:
    """Memory for arrays of any shape, one piece for each slot; it grows, and is made anew then."""

    def __init__(self, lock: Any = None) -> None:
        """Take what is called with each new piece, a flat uint8 array; None: nothing."""
        self._lock = lock
        self._pieces: dict[int, npt.NDArray[np.uint8]] = {}

    def array(self, shape: Sequence[int], dtype: npt.DTypeLike, slot: int = 0) -> Array:
        """Return (shape) of dtype, contiguous, over the slot's memory."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        piece = self._pieces.get(slot)
        if piece is None or piece.size < size:
            piece = np.zeros(size, np.uint8)
            if self._lock is not None:
                self._lock(piece)
            self._pieces[slot] = piece
        return piece[:size].view(dtype).reshape(shape)


def page_lock(piece: npt.NDArray[np.uint8]) -> bool:
    """Pin memory, so that copies to the GPU need no detour, until it is freed; False where that cannot be done."""
    for name in _RUNTIMES:
        try:
            runtime = ctypes.CDLL(name)
        except OSError:
            continue
        register, unregister = runtime.cudaHostRegister, runtime.cudaHostUnregister
        register.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint]
        unregister.argtypes = [ctypes.c_void_p]
        address = piece.ctypes.data
        if register(address, piece.nbytes, _PORTABLE) != 0:
            return False
        # Before the memory goes back: pages that stay locked would be those of somebody else.
        weakref.finalize(piece, unregister, address).atexit = False
        return True
    return False
