"""Detection side and precision against recall and time: `python -m benchmarks.curve [FOLDER]`.

FOLDER holds photographs and dlib's XML of their faces. Each is also enlarged, which makes its JPEG one that detection
decodes at a fraction of its size. Times are CPU of one thread, for decoding and for detecting; those of several
precisions are taken in turns.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

from benchmarks.truth import Truth, read_truth
from common.choices import DetectorPrecision
from common.images import decode_reduced
from common.options import MAX_DETECT_SIDE
from common.weights import cache_dir, find
from workers.detectors.base import Detection, enlarged
from workers.detectors.boxes import iou
from workers.detectors.registry import open_detector

SIDES = (160, 224, 256, 320, 416, 480, 640, 960, MAX_DETECT_SIDE)
MATCH_IOU = 0.4
_TIMED_WH = (1024, 768)


def main() -> None:
    """Print a row per side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/faces"))
    parser.add_argument("--enlarge", type=float, nargs="*", default=[1, 4], help="times; below 1: reduced")
    parser.add_argument("--side", type=int, nargs="*", default=SIDES)
    parser.add_argument("--mirror", action="store_true", help="mirrored pictures too")
    parser.add_argument(
        "--detector-precision", choices=get_args(DetectorPrecision), nargs="*", default=["auto"]
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    truths = read_truth(arguments.folder)
    if not truths:
        parser.error(f"no photograph with ground truth in {arguments.folder}")
    mirrored = (False, True) if arguments.mirror else (False,)
    files = {
        (times, flip, name): as_jpeg(arguments.folder / name, times, flip)
        for times in arguments.enlarge
        for flip in mirrored
        for name in truths
    }
    timed = [as_jpeg(arguments.folder / name, _TIMED_WH) for name in truths]
    faces = sum(len(truth.boxes_xyxy) for truth in truths.values()) * len(mirrored)
    print(f"found of {faces} faces, lowest score among them; ms of CPU for a picture of 1024x768")
    head = "".join(f"{f'x{times:g}':>12}" for times in arguments.enlarge)
    print(f"{'side':>6}{'precision':>11}{head}{'decode':>9}{'detect':>9}")
    for side in arguments.side:
        detectors = {
            precision: open_detector(
                "centerface",
                find("centerface", None, None),
                device="cpu",
                threads=1,
                side=side,
                cache_dir=cache_dir(),
                precision=precision,
            )
            for precision in arguments.detector_precision
        }
        milliseconds = _milliseconds(detectors, timed, side)
        for precision, detector in detectors.items():
            cells = ""
            for times in arguments.enlarge:
                found, lowest = 0, 1.0
                for flip in mirrored:
                    for name, truth in truths.items():
                        data = files[times, flip, name]
                        scores = _scores(truth, times, flip, _detect(detector, data, side))
                        found, lowest = found + len(scores), min([lowest, *scores])
                cells += f"{f'{found} {lowest:.2f}':>12}"
            decoding, detecting = milliseconds[precision]
            print(f"{side:>6}{precision:>11}{cells}{decoding:>9.1f}{detecting:>9.1f}", flush=True)


def as_jpeg(path: Path, size: float | tuple[int, int], flip: bool = False) -> bytes:
    """A photograph enlarged so many times, or to a (width, height), and mirrored; packed as a JPEG again."""
    picture: Any = cv2.imread(str(path))
    height, width = picture.shape[:2]
    size_wh = size if isinstance(size, tuple) else (round(width * size), round(height * size))
    how = cv2.INTER_AREA if size_wh[0] < width else cv2.INTER_CUBIC
    picture = cv2.resize(picture, size_wh, interpolation=how)
    if flip:
        picture = picture[:, ::-1]
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())


def _detect(detector: Any, data: bytes, side: int) -> tuple[Detection, int]:
    """What is found, and the picture's width."""
    reduced = decode_reduced(data, side)
    (found,) = detector.detect([reduced.image_bgr])
    return enlarged(found, reduced.factor, (reduced.width, reduced.height)), reduced.width


def _scores(truth: Truth, times: float, flip: bool, answer: tuple[Detection, int]) -> list[float]:
    """The score of each true face that was found."""
    found, width = answer
    overlap = iou(truth.seen(times, width if flip else None).boxes_xyxy, found.boxes_xyxy)
    if not overlap.size:
        return []
    return [float(found.scores[row.argmax()]) for row in overlap if row.max() >= MATCH_IOU]


def _milliseconds(detectors: dict[Any, Any], files: list[bytes], side: int) -> dict[Any, tuple[float, float]]:
    """Medians for decoding and detecting, by precision."""
    times: dict[Any, list[tuple[float, float]]] = {precision: [] for precision in detectors}
    for data in [files[0], *files, *files]:
        for precision, detector in detectors.items():
            start = time.thread_time()
            reduced = decode_reduced(data, side)
            middle = time.thread_time()
            detector.detect([reduced.image_bgr])
            times[precision].append((middle - start, time.thread_time() - middle))
    # The first of each is not counted.
    medians = {one: 1e3 * np.median(found[1:], axis=0) for one, found in times.items()}
    return {precision: (float(both[0]), float(both[1])) for precision, both in medians.items()}


if __name__ == "__main__":
    main()
