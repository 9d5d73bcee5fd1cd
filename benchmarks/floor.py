"""The floor: the same pictures through only the unavoidable library calls, each in a tight loop on all cores.

Everything that a call needs lies ready in memory: bytes for the decoder, tensors for the network, patches for the
landmarks, arrays for drawing, matrices for the crops, finished pixels for the encoders. One process a core, one
thread each: the fastest way on a CPU (docs/decisions.md). No process begins a part before all are ready for it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import multiprocessing
import os
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.image_header import probe
from common.large_pages import ask_for_large_pages

PARTS = ("decode", "detect", "landmarks", "draw", "crop", "encode")
IN_FLOATS = "detect in fp32"
"""Beside the parts, where the job detects in another precision: what the network takes in its file's own."""
OUR_TREES = "landmarks by our trees"
"""Beside the parts: what 64 faces' landmarks take as the job finds them, where `landmarks` is dlib's own predictor."""
_MOST_PICTURES, _LEAST_PICTURES, _MOST_PIXELS = 128, 16, 25_000_000
"""Of so many pictures the floor is measured: sixteen portraits of a hundred sizes had 4 % more pixels than all."""
_LEAST_S = 0.6
"""So long each part is repeated at the least."""

Call = Callable[[], object]


@dataclass(frozen=True)
class Floor:
    """Seconds per image, summed over the parts.

    Attributes:
        wall: with all cores busy: part, `IN_FLOATS` or `OUR_TREES` → seconds of the whole machine for one image.
        cpu: part → CPU seconds for one image.
        faces: mean faces an image.
    """

    wall: dict[str, float]
    cpu: dict[str, float]
    faces: float


def measure_floor(paths: Sequence[Path], options: dict[str, Any], processes: int) -> Floor:
    """Measure the floor of pictures, of evenly spaced ones where they are many, with so many processes at a time."""
    # spawn: what OpenCV, ONNX Runtime and dlib start does not survive a fork.
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    answers: Any = context.Queue()
    names = [str(path) for path in _sample(paths)]
    workers = [
        context.Process(target=_measure_in_process, args=(names, options, barrier, answers))
        for _ in range(processes)
    ]
    with _large_pages():
        for worker in workers:
            worker.start()
    try:
        found = [_next_answer(answers, workers) for _ in workers]
    finally:
        for worker in workers:
            worker.join(timeout=5)
            worker.terminate()
    parts = found[0][0].keys()
    wall = {part: 1 / sum(1 / one[part][0] for one, _ in found) for part in parts}
    cpu = {part: sum(one[part][1] for one, _ in found) / processes for part in parts}
    return Floor(wall, cpu, found[0][1])


@contextlib.contextmanager
def _large_pages() -> Iterator[None]:
    """Processes that are begun here have them, as workers have: dlib is slower without."""
    before = dict(os.environ)
    ask_for_large_pages(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _sample(paths: Sequence[Path]) -> Sequence[Path]:
    first = probe(paths[0].read_bytes())
    count = max(_LEAST_PICTURES, min(_MOST_PICTURES, _MOST_PIXELS // (first.width * first.height)))
    return paths[:: math.ceil(len(paths) / count)]


def _next_answer(answers: Any, workers: Sequence[Any]) -> Any:
    """The answer of one process; where one died the others would wait for it for ever."""
    while True:
        with contextlib.suppress(queue.Empty):
            return answers.get(timeout=1)
        if any(worker.exitcode for worker in workers):
            raise RuntimeError("a process that measures the floor died; its error stands above")


def _measure_in_process(names: list[str], options: dict[str, Any], barrier: Any, answers: Any) -> None:
    calls, faces = _prepare(names, options)
    measured = {}
    for part in calls:
        barrier.wait()
        rounds = 0
        start, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() - start < _LEAST_S or rounds < 2:
            for call in calls[part]:
                call()
            rounds += 1
        images = rounds * len(names)
        measured[part] = (
            (time.perf_counter() - start) / images,
            (time.process_time() - cpu) / images,
        )
    answers.put((measured, faces / len(names)))


def _prepare(names: list[str], values: dict[str, Any]) -> tuple[dict[str, list[Call]], int]:
    """Part → what to call for all pictures once; and their faces."""
    import cv2
    import dlib
    import numpy as np

    from common import weights
    from common.images import encode_png
    from common.ledger.claims import ClaimedFace
    from common.options import make_options
    from common.settings import read_settings
    from workers.artwork import JPEG_QUALITY, THREE_POINTS, draw_variant
    from workers.crops import STYLES, crop, matrix_for
    from workers.facepoints import find_points
    from workers.outfits import BarePicture, fit_outfits
    from workers.runtime import Runtime
    from workers.selection import select_faces

    options = make_options(values)
    runtime = Runtime(read_settings())
    detector: Any = runtime.detector(options)
    landmarker: Any = runtime.landmarker(options)
    in_floats: Any = runtime.detector(options.model_copy(update={"detector_precision": "fp32"}))
    calls: dict[str, list[Call]] = {part: [] for part in (*PARTS, OUR_TREES)}
    if in_floats.provider != detector.provider:
        calls[IN_FLOATS] = []
    predictor = dlib.shape_predictor(str(weights.find("dlib68", None, runtime.settings.models)))
    faces = 0
    waiting: list[Any] = []
    grays: list[Any] = []
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    for name in names:
        data = np.frombuffer(Path(name).read_bytes(), np.uint8)
        image = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        calls["decode"].append(lambda data=data: cv2.imdecode(data, cv2.IMREAD_COLOR))
        calls["detect"].append(_network_call(detector, image, options.detect_side))
        if IN_FLOATS in calls:
            calls[IN_FLOATS].append(_network_call(in_floats, image, options.detect_side))
        height, width = image.shape[:2]
        rows = [
            row
            for row in select_faces(detector.detect([image])[0], width, height, options)
            if row.face_index is not None
        ]
        claimed = [
            ClaimedFace(k, k, (row.x1, row.y1, row.x2, row.y2), row.points_5) for k, row in enumerate(rows)
        ]
        points = find_points(landmarker, image, claimed)
        faces += len(points)
        for row in rows:
            grays.append(_ready_patch(landmarker, image, np.array(row.points_5)))
            calls["landmarks"].append(_predictor_call(predictor, grays[-1]))
        relative = os.fsencode(os.path.basename(name))

        alike = probe(data.tobytes()).compression

        waiting.append((relative, image, points, alike))
        if sum(len(one[2]) for one in waiting) >= landmarker.batch or name == names[-1]:
            calls["draw"].append(_drawing_call(options, waiting))
            waiting = []
            if grays:
                calls[OUR_TREES].append(_trees_call(landmarker, grays))
            grays = []
        (outfits,) = fit_outfits(options, [BarePicture(relative, image, points, (0,))])
        canvas = draw_variant(image, points, 0, outfits[0], alike).canvas
        calls["encode"].append(lambda canvas=canvas: encode_png(canvas))
        for face in points:
            for style in options.crop_styles:
                matrix = matrix_for(style, face.crop_points5, face.points68[THREE_POINTS], options.crop_size)
                size = (options.crop_size, options.crop_size)
                calls["crop"].append(
                    lambda canvas=canvas, matrix=matrix, size=size: cv2.warpAffine(canvas, matrix, size)
                )
                cut = crop(canvas, matrix, options.crop_size, STYLES[style].border)
                calls["encode"].append(lambda cut=cut: cv2.imencode(".jpg", cut, jpeg))
    return calls, faces


def _network_call(detector: Any, image: Any, side: int) -> Call:
    """One run of CenterFace's session on a ready tensor."""
    from workers.detectors.centerface_input import to_input

    runner = detector._runner
    tensor = to_input(side, [image])
    return lambda: runner._session.run(None, {runner._input_name: tensor})


def _drawing_call(options: Any, pictures: Sequence[Any]) -> Call:
    """Masks on the faces of some pictures, each (name, image, points, compression): they are fitted in one go.

    Other masks each time, as chance follows from the name: the same ones again would be those that happened to be drawn
    for a few pictures, and their prints would lie ready.
    """
    from workers.artwork import draw_variant
    from workers.outfits import BarePicture, fit_outfits

    rounds = itertools.count()

    def draw() -> None:
        folder = b"%d" % next(rounds)
        bare = [
            BarePicture(os.path.join(folder, relative), image, points, (0,))
            for relative, image, points, _ in pictures
        ]
        for (_, image, points, alike), outfits in zip(pictures, fit_outfits(options, bare), strict=True):
            draw_variant(image, points, 0, outfits[0], alike)

    return draw


def _ready_patch(landmarker: Any, image: Any, points5: Any) -> Any:
    """What the landmarks of a face are found in."""
    from workers.landmarks.patches import cut_patch
    from workers.landmarks.squares import square_from_points

    square = square_from_points(points5, landmarker._mean5)
    assert square is not None
    return cut_patch(image, square).gray


def _predictor_call(predictor: Any, gray: Any) -> Call:
    """One call of dlib's predictor on a ready patch."""
    import dlib

    from workers.landmarks.patches import FACE, MARGIN

    start = dlib.rectangle(MARGIN, MARGIN, MARGIN + FACE - 1, MARGIN + FACE - 1)
    return lambda: predictor(gray, start)


def _trees_call(landmarker: Any, grays: Sequence[Any]) -> Call:
    """One pass of the job's own predictor over ready patches."""
    import numpy as np

    from workers.landmarks.patches import FACE, MARGIN

    ready, squares = np.stack(grays), np.tile([MARGIN, MARGIN, FACE], (len(grays), 1))
    return lambda: landmarker._predictor.find(ready, squares)
