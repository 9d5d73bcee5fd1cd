"""Open ONNX Runtime sessions, and say on what they really run.

A session must be opened in the process that uses it: one inherited through fork hangs or crashes when it is
destroyed (spec/reliability.md §2). Nothing here runs at import.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

from common.errors import UnfitError
from workers.onnx_runtime import ort, ort_state

Provider = Literal["CUDA", "CPU"]
Session: TypeAlias = Any
"""An `onnxruntime.InferenceSession`; onnxruntime carries no types."""

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_ERRORS_ONLY = 3
_MEND = "install `maskmill[cuda]` and an NVIDIA driver, or use --device cpu"

ORT_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    *(
        value
        for value in vars(ort_state).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ),
)
"""What ONNX Runtime raises: its classes derive from Exception one by one and share no base."""

_OPEN_ERRORS: tuple[type[Exception], ...] = (OSError, *ORT_ERRORS)
_TRIAL_ERRORS: tuple[type[Exception], ...] = (ValueError, IndexError, *ORT_ERRORS)

_log = logging.getLogger(__name__)


def open_session(
    model: bytes | Path, device: str, threads: int, label: str = "the model", *, is_optimised: bool = False
) -> Session:
    """Open an inference session.

    Args:
        model: a prepared graph, or the path of an ONNX file.
        device: `auto` (CUDA where it works, else CPU), `cpu`, `cuda` or `cuda:N`.
        threads: for one operator on the CPU, at least 1; operators run one after the other.
        label: what messages call the model.
        is_optimised: the graph is one of `optimised_graph` and is run as it stands.

    Raises:
        UnfitError: no network that ONNX Runtime can run, an unknown device, or CUDA asked for in vain.
    """
    index = _cuda_index(device)
    if index is not None:
        obstacle = cuda_obstacle()
        if obstacle is None:
            session = _open(model, [_cuda_provider(index), _CPU], _options(threads), label)
            if provider_of(session) == "CUDA":
                return session
            obstacle = "ONNX Runtime could not start it"
        if device != "auto":
            raise UnfitError(f"{device} was asked for, but CUDA cannot be used: {obstacle}; {_MEND}")
        _log.info("%s runs on the CPU: %s", label, obstacle)
    options = _options(threads)
    if is_optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _open(model, [_CPU], options, label)


def optimised_graph(model: bytes, label: str, *, portable: bool = False) -> bytes:
    """Return a graph as ONNX Runtime rewrites it for the CPU of this machine; another kind of CPU may not run it.

    Args:
        portable: only what any CPU runs: constants folded, normalisation drawn into convolutions.

    Raises:
        UnfitError: no network that ONNX Runtime can run.
    """
    with tempfile.TemporaryDirectory(prefix="maskmill-graph-") as folder:
        written = Path(folder) / "optimised.onnx"
        options = _options(1)
        options.optimized_model_filepath = str(written)
        if portable:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        _open(model, [_CPU], options, label)
        return written.read_bytes()


def is_for_cpu(device: str) -> bool:
    """Tell whether a session for a device will run on the CPU, as far as that can be told without trying.

    Raises:
        UnfitError: an unknown device.
    """
    return _cuda_index(device) is None or (device == "auto" and cuda_obstacle() is not None)


def cuda_index_of(session: Session) -> int | None:
    """Return the number of the CUDA device that a session runs on, None for the CPU."""
    if provider_of(session) == "CPU":
        return None
    return int(session.get_provider_options()[_CUDA].get("device_id", 0))


def provider_of(session: Session) -> Provider:
    """Return where a session really runs: ONNX Runtime falls back to the CPU without raising."""
    return "CUDA" if session.get_providers()[0] == _CUDA else "CPU"


def cuda_obstacle() -> str | None:
    """Return why CUDA cannot be used, None if it should work; cheap, prints nothing, starts no CUDA context.

    Checked before trying, because ONNX Runtime prints to stderr where it should raise.
    """
    if _CUDA not in ort.get_available_providers():
        return "this onnxruntime was built without CUDA"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every device"
    if not _has_nvidia_device():
        return "no NVIDIA device"
    return _missing_library()


def _has_nvidia_device() -> bool:
    # /dev/dxg is the GPU of WSL 2.
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()


def _missing_library() -> str | None:
    """Load the CUDA libraries of the extra, then name the first one that the provider still misses."""
    if hasattr(ort, "preload_dlls"):
        # It prints each library it does not find, as a line on stdout.
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            ort.preload_dlls()
        if printed.getvalue():
            _log.debug("onnxruntime.preload_dlls: %s", printed.getvalue().strip())
    library = Path(ort.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    try:
        ctypes.CDLL(str(library))
    except OSError as exc:
        # Other complaints (symbols that onnxruntime itself brings) say nothing about the machine.
        if "cannot open shared object file" in str(exc):
            return str(exc)
    return None


def _cuda_index(device: str) -> int | None:
    """Return the number of the CUDA device, None for the CPU."""
    if device == "cpu":
        return None
    match = re.fullmatch(r"auto|cuda(?::(\d+))?", device)
    if match is None:
        raise UnfitError(
            f"the device must be auto, cpu or cuda:N, got {device}; give one of these with --device"
        )
    return int(match[1] or 0)


def _cuda_provider(index: int) -> tuple[str, dict[str, str]]:
    # kSameAsRequested: no doubling of the arena, so that several sessions fit on one card. HEURISTIC: the
    # default search times every algorithm anew for each picture size.
    return _CUDA, {
        "device_id": str(index),
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
    }


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads
    options.log_severity_level = _ERRORS_ONLY
    # Planned memory is kept for each size of picture: 42 MB more after four sizes, and no faster.
    options.enable_mem_pattern = False
    # Several worker processes share the cores: a thread that spins takes its core from another process.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _open(model: bytes | Path, providers: list[Any], options: Any, label: str) -> Session:
    try:
        return ort.InferenceSession(
            model if isinstance(model, bytes) else model.read_bytes(), options, providers=providers
        )
    except _OPEN_ERRORS as exc:
        raise UnfitError(
            f"ONNX Runtime cannot open {label}: {first_line(exc)}; give a valid ONNX file"
        ) from exc


@contextlib.contextmanager
def trial_run(path: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong in a first run into an UnfitError: found at the start, not at the first image.

    Args:
        path: the model file.
        what: what it should be, with its article.
    """
    try:
        yield
    except _TRIAL_ERRORS as exc:
        raise UnfitError(
            f"the model {path} does not run as {what}: {first_line(exc)}; give another file"
        ) from exc


def first_line(exc: Exception) -> str:
    """Return what an error says, without the lines of C++ that ONNX Runtime adds."""
    return str(exc).partition("\n")[0] or type(exc).__name__
