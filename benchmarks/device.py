"""The detection rate on a device, next to the bare rate of ONNX Runtime for the same batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from common.errors import UnfitError
from common.images import decode
from common.options import JobOptions
from common.settings import read_settings
from workers.detectors import centerface
from workers.runtime import Runtime
from workers.sessions import cuda_obstacle

_LEAST_S = 3.0


def measure_device(folder: Path, options: JobOptions, device: str) -> None:
    """Print both rates; without a GPU one line that says so."""
    obstacle = cuda_obstacle()
    if obstacle is not None:
        print(
            f"{folder.name}: no rate for {device}: {obstacle}. Everything else of the benchmark runs without."
        )
        return
    runtime = Runtime(read_settings(device=device))
    try:
        detector: Any = runtime.detector(options)
    except UnfitError as exc:
        print(f"{folder.name}: no rate for {device}: {exc}")
        return
    paths = sorted(folder.iterdir())
    images = [decode(path.read_bytes()) for path in paths]
    detector.detect(images)  # warm
    batch = detector._runner.batch
    frames = [centerface._frame(image, options.detect_side) for image in images]
    largest = max(
        (
            [frame for frame in frames if frame.shape == shape][:batch]
            for shape in {frame.shape for frame in frames}
        ),
        key=len,
    )
    tensor = centerface._to_input(largest)
    runner = detector._runner
    bare = len(largest) / _seconds(lambda: runner._session.run(None, {runner._input_name: tensor}))
    ready = len(images) / _seconds(lambda: detector.detect(images))

    def from_files() -> None:
        with ThreadPoolExecutor(runtime.decode_threads) as pool:
            read = pool.map(lambda path: decode(path.read_bytes()), paths)
            while some := list(islice(read, batch)):
                detector.detect(some)

    files = len(paths) / _seconds(from_files)
    print(
        f"{folder.name}: {detector.provider}, batches of {len(largest)} of {largest[0].shape[1]}x{largest[0].shape[0]}"
    )
    print(f"  ONNX Runtime alone {bare:.0f} images/s; decoded pictures {ready:.0f} ({100 * ready / bare:.0f} %); "
          f"from files {files:.0f} ({100 * files / bare:.0f} %)")  # fmt: skip


def _seconds(call: Callable[[], object]) -> float:
    """Mean seconds of a call."""
    rounds = 0
    start = time.perf_counter()
    while rounds < 2 or time.perf_counter() - start < _LEAST_S:
        call()
        rounds += 1
    return (time.perf_counter() - start) / rounds
