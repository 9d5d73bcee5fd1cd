"""Open a network of a file: prepared, in the precision asked for, optimised for this CPU, each made once and kept."""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from common.errors import UnfitError
from workers.graphs import NO_AXES, RECIPE, kept_graph, prepared_graph, read_model
from workers.onnx_runtime import ort
from workers.sessions import Session, is_for_cpu, open_session, optimised_graph

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Variant:
    """Another form of a prepared graph.

    Attributes:
        name: stands for everything that `make` does; another recipe needs another name.
        make: from the prepared graph.
        is_slow: it takes seconds and much memory: one process at a time makes it.
    """

    name: str
    make: Callable[[bytes], bytes]
    is_slow: bool = False


def open_network(
    path: Path,
    *,
    device: str,
    threads: int,
    cache_dir: Path | None,
    label: str,
    axes: Mapping[int, str] = NO_AXES,
    variant: Variant | None = None,
) -> Session:
    """Open a session of an ONNX file.

    On the CPU the graph that ONNX Runtime makes of it is kept too, under the model's content, the version of ONNX
    Runtime and the instructions of the CPU; the next process opens that one as it stands.

    Args:
        device, threads, label: as in `open_session`.
        cache_dir, axes: as in `prepared_graph`.
        variant: None: the graph of the file.

    Raises:
        UnfitError: as `prepared_graph` and `open_session`.
    """

    def plain() -> bytes:
        prepared = prepared_graph(path, cache_dir, axes)
        if variant is None:
            return prepared
        key = _key(path, axes, variant, ort.__version__)
        return kept_graph(key, cache_dir, lambda: variant.make(prepared), is_slow=variant.is_slow)

    if cache_dir is None or not is_for_cpu(device):
        return open_session(plain(), device, threads, label)
    key = _key(path, axes, variant, ort.__version__, _cpu_kind())
    optimised = kept_graph(key, cache_dir, lambda: optimised_graph(plain(), label))
    try:
        return open_session(optimised, "cpu", threads, label, is_optimised=True)
    except UnfitError as exc:
        _log.debug("the optimised graph is left alone: %s", exc)
        return open_session(plain(), "cpu", threads, label)


def _key(path: Path, axes: Mapping[int, str], variant: Variant | None, *circumstances: str) -> str:
    """A file name for what follows from a model, its recipe and circumstances."""
    source = hashlib.sha256(read_model(path)).hexdigest()
    parts = (source, str(RECIPE), repr(sorted(axes.items())), "" if variant is None else variant.name)
    return hashlib.sha256("\n".join((*parts, *circumstances)).encode()).hexdigest()


@cache
def cpu_features() -> frozenset[str]:
    """What instructions the CPU has, by Linux' names; empty where that cannot be told."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()  # no Linux
    # x86 says "flags", ARM "Features".
    found = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return frozenset(found.partition(":")[2].split())


@cache
def _cpu_kind() -> str:
    """What tells CPUs apart that ONNX Runtime has other code and other layouts for."""
    return f"{platform.machine()} {platform.processor()} {' '.join(sorted(cpu_features()))}"
