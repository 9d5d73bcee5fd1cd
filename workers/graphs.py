"""Prepare ONNX graphs for our use, once per file, and keep the result.

Some published graphs list initializers among their inputs (ONNX Runtime then prints hundreds of warnings and
cannot fold constants) or declare fixed sizes that the network does not need.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from common.errors import UnfitError
from workers.keeping import keep, read_kept

RECIPE = 1
"""Raise it when `_prepare` changes, so that files prepared by an older recipe are not used."""

NO_AXES: Mapping[int, str] = {}

_log = logging.getLogger(__name__)


def prepared_graph(path: Path, cache_dir: Path | None, axes: Mapping[int, str] = NO_AXES) -> bytes:
    """Return an ONNX graph without initializers among its inputs and with the given axes free.

    Args:
        path: the model file.
        cache_dir: where the prepared file is kept; None, or a folder that cannot be written: in memory only.
        axes: axis of the first input → its name; these axes may then have any size. When any is given,
            the sizes that the file declares for its outputs are dropped.

    Raises:
        UnfitError: not readable or not an ONNX file.
    """
    source = read_model(path)
    recipe = f"{RECIPE} {sorted(axes.items())}".encode()
    key = hashlib.sha256(hashlib.sha256(source).digest() + recipe).hexdigest()
    return kept_graph(key, cache_dir, lambda: _prepare(source, path, axes))


def read_model(path: Path) -> bytes:
    """Return a model file's content.

    Raises:
        UnfitError: not readable.
    """
    try:
        return path.read_bytes()
    except OSError as exc:
        raise UnfitError(f"the model {path} cannot be read: {exc.strerror}; give a readable file") from exc


def kept_graph(
    key: str, cache_dir: Path | None, make: Callable[[], bytes], *, is_slow: bool = False
) -> bytes:
    """Return what is kept under a key; made and kept where it is not there or no longer whole.

    A broken one is replaced without a word. Processes that make the same one at a time each rename a whole file into
    place.

    Args:
        key: what the content follows from, as a file name.
        cache_dir: None, or a folder that cannot be written: nothing is kept.
        is_slow: it takes seconds to make: one process makes it while the others wait for it.
    """
    kept = None if cache_dir is None else cache_dir / "graphs" / f"{key}.graph"
    if kept is None:
        return make()
    found = read_kept(kept)
    if found is not None:
        return found
    with _turn(kept) if is_slow else contextlib.nullcontext():
        made = read_kept(kept) if is_slow else None
        if made is None:
            made = make()
            keep(kept, made)
    return made


@contextlib.contextmanager
def _turn(kept: Path) -> Iterator[None]:
    """Hold the lock of a file, which the kernel opens when its holder dies; where none can be had, go on without."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(kept.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        _log.debug("no lock for %s: %s", kept, exc)
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _prepare(source: bytes, path: Path, axes: Mapping[int, str]) -> bytes:
    # onnx takes 0.2 s to import; a worker that finds the prepared file does without.
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(source)
    except DecodeError as exc:
        raise UnfitError(f"the model {path} is not an ONNX file; give one that is") from exc
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    # An empty file is a valid, empty protobuf message.
    if not inputs or not graph.node:
        raise UnfitError(
            f"the model {path} is not an ONNX network: it has no input or no node; give one that is"
        )
    del graph.input[:]
    graph.input.extend(inputs)
    if axes:
        _free(graph, axes)
    prepared: bytes = model.SerializeToString()
    return prepared


def _free(graph: Any, axes: Mapping[int, str]) -> None:
    dimensions = graph.input[0].type.tensor_type.shape.dim
    for axis, name in axes.items():
        if axis < len(dimensions):
            dimensions[axis].dim_param = name
    # What the file says of sizes further on came from the fixed input size; ONNX Runtime infers it anew.
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
