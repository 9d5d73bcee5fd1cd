"""The detection rate on a device, next to the bare rate of ONNX Runtime for the same batch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UnfitError
from common.images import ReducedImage, decode_reduced
from common.options import JobOptions
from common.settings import read_settings
from workers.detectors.centerface_input import padded_size
from workers.runtime import Runtime
from workers.sessions import cuda_obstacle

_LEAST_S = 3.0
# As many as fit into memory next to each other, decoded.
_MOST_IMAGES = 256
# Pictures of so many batches are looked at together, as in `workers.detect`: then batches of one size are full.
_BATCHES_HELD = 4


@dataclass(frozen=True)
class Rates:
    """Images a second.

    Attributes:
        batch: images of the batch, and the network's input, pixels, for the bare rates.
        bare: `session.run` on that batch, ready in memory.
        bound: the same through bound memory.
        ready: decoded pictures: fitted, batched, run, boxes made.
        files: the same from files, decoded in threads meanwhile.
        faces: found in all pictures.
    """

    batch: tuple[int, int, int]
    bare: float
    bound: float
    ready: float
    files: float
    faces: int


def measure_device(folder: Path, options: JobOptions, device: str) -> None:
    """Print all rates, in both precisions; without a GPU one line that says so."""
    obstacle = cuda_obstacle()
    if obstacle is not None:
        print(
            f"{folder.name}: no rate for {device}: {obstacle}. Everything else of the benchmark runs without."
        )
        return
    runtime = Runtime(read_settings(device=device))
    paths = sorted(path for path in folder.iterdir() if path.is_file())[:_MOST_IMAGES]
    for precision in ("fp16", "fp32"):
        try:
            detector: Any = runtime.detector(options.model_copy(update={"detector_precision": precision}))
        except UnfitError as exc:
            print(f"{folder.name}: no rate for {device} in {precision}: {exc}")
            continue
        rates = measure_rates(detector, paths, options.detect_side, runtime.decode_threads, _LEAST_S)
        print_rates(f"{folder.name}: {detector.provider}", rates)


def print_rates(title: str, rates: Rates) -> None:
    """Print the rates and what each is of the bare one."""
    count, width, height = rates.batch
    print(f"{title}: batches of {count} of {width}x{height}, {rates.faces} faces")
    ways = {"bound memory": rates.bound, "decoded pictures": rates.ready, "from files": rates.files}
    parts = "; ".join(f"{name} {rate:.0f} ({100 * rate / rates.bare:.0f} %)" for name, rate in ways.items())
    print(f"  ONNX Runtime alone {rates.bare:.0f} images/s; {parts}")


def measure_rates(
    detector: Any, paths: Sequence[Path], side: int, decode_threads: int, least_s: float
) -> Rates:
    """Measure a CenterFace on some files.

    Args:
        least_s: each way is repeated for so many seconds at the least.

    Raises:
        ImageError: a file is no picture that can be read.
    """
    images = [decode_reduced(path.read_bytes(), side).image_bgr for path in paths]
    # Warm, and the batch is as large as memory allows.
    detector.detect(images)
    runner = detector._runner
    tensor, (count, width, height) = _fullest_batch(detector, images, side)
    bare = count / _seconds(lambda: runner._session.run(None, {runner._input_name: tensor}), least_s)
    memory = runner._feeder.buffer(tensor.shape, tensor.dtype)
    memory[:] = tensor
    bound = count / _seconds(lambda: runner._feeder.run(memory), least_s)
    held = runner.batch * _BATCHES_HELD
    groups = [images[start : start + held] for start in range(0, len(images), held)]
    ready = len(images) / _seconds(lambda: [detector.detect(group) for group in groups], least_s)
    faces = 0

    def from_files() -> None:
        nonlocal faces
        faces = 0
        with ThreadPoolExecutor(decode_threads) as pool:
            group: list[Any] = []
            for picture in _decoded_ahead(pool, paths, side, held + decode_threads):
                group.append(picture.image_bgr)
                if len(group) == held:
                    faces += sum(map(len, detector.detect(group)))
                    group = []
            if group:
                faces += sum(map(len, detector.detect(group)))

    files = len(paths) / _seconds(from_files, least_s)
    return Rates((count, width, height), bare, bound, ready, files, faces)


def _decoded_ahead(
    pool: ThreadPoolExecutor, paths: Sequence[Path], side: int, most: int
) -> Iterator[ReducedImage]:
    """Pictures in order; at most so many wait decoded while the device works."""
    waiting = deque(paths)
    running: deque[Future[ReducedImage]] = deque()

    def load(path: Path) -> ReducedImage:
        return decode_reduced(path.read_bytes(), side)

    while waiting or running:
        while waiting and len(running) < most:
            running.append(pool.submit(load, waiting.popleft()))
        yield running.popleft().result()


def _fullest_batch(detector: Any, images: Sequence[Any], side: int) -> tuple[Any, tuple[int, int, int]]:
    """The input of the batch with the most images of one size; their number, width and height."""
    by_size: dict[tuple[int, int], list[Any]] = {}
    for image in images:
        size_wh = padded_size((image.shape[1], image.shape[0]), side)
        by_size.setdefault(size_wh, []).append(image)
    runner = detector._runner
    size_wh, members = max(by_size.items(), key=lambda item: (min(len(item[1]), runner.batch), item[0][::-1]))
    some = members[: runner.batch]
    return runner._fill(some, np.empty), (len(some), *size_wh)


def _seconds(call: Callable[[], object], least_s: float) -> float:
    """Mean seconds of a call."""
    rounds = 0
    start = time.perf_counter()
    while rounds < 2 or time.perf_counter() - start < least_s:
        call()
        rounds += 1
    return (time.perf_counter() - start) / rounds
