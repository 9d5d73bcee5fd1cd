"""Detection side against recall and time: `python -m benchmarks.curve [FOLDER]`.

FOLDER holds photographs and dlib's XML of their faces. Each is also enlarged, which makes its JPEG one that detection
decodes at a fraction of its size. Times are CPU of one thread, for decoding and for detecting.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.truth import Truth, read_truth
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
    parser.add_argument("--enlarge", type=int, nargs="*", default=[1, 4], help="times")
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    truths = read_truth(arguments.folder)
    if not truths:
        parser.error(f"no photograph with ground truth in {arguments.folder}")
    files = {
        (times, name): _as_jpeg(arguments.folder / name, times)
        for times in arguments.enlarge
        for name in truths
    }
    timed = [_as_jpeg(arguments.folder / name, _TIMED_WH) for name in truths]
    faces = sum(len(truth.boxes_xyxy) for truth in truths.values())
    print(f"found of {faces} faces, lowest score among them; ms of CPU for a picture of 1024x768")
    head = "".join(f"{f'x{times}':>12}" for times in arguments.enlarge)
    print(f"{'side':>6}{head}{'decode':>9}{'detect':>9}")
    for side in SIDES:
        detector = open_detector(
            "centerface",
            find("centerface", None, None),
            device="cpu",
            threads=1,
            side=side,
            cache_dir=cache_dir(),
        )
        cells = ""
        for times in arguments.enlarge:
            found, lowest = 0, 1.0
            for name, truth in truths.items():
                scores = _scores(truth, times, _detect(detector, files[times, name], side))
                found, lowest = found + len(scores), min([lowest, *scores])
            cells += f"{f'{found} {lowest:.2f}':>12}"
        decoding, detecting = _milliseconds(detector, timed, side)
        print(f"{side:>6}{cells}{decoding:>9.1f}{detecting:>9.1f}", flush=True)


def _as_jpeg(path: Path, size: int | tuple[int, int]) -> bytes:
    picture: Any = cv2.imread(str(path))
    height, width = picture.shape[:2]
    size_wh = (width * size, height * size) if isinstance(size, int) else size
    picture = cv2.resize(picture, size_wh, interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())


def _detect(detector: Any, data: bytes, side: int) -> Detection:
    reduced = decode_reduced(data, side)
    (found,) = detector.detect([reduced.image_bgr])
    return enlarged(found, reduced.factor, (reduced.width, reduced.height))


def _scores(truth: Truth, times: int, found: Detection) -> list[float]:
    """The score of each true face that was found."""
    overlap = iou(truth.boxes_xyxy * times, found.boxes_xyxy)
    if not overlap.size:
        return []
    return [float(found.scores[row.argmax()]) for row in overlap if row.max() >= MATCH_IOU]


def _milliseconds(detector: Any, files: list[bytes], side: int) -> tuple[float, float]:
    decoding, detecting = [], []
    for data in [files[0], *files, *files]:
        start = time.thread_time()
        reduced = decode_reduced(data, side)
        middle = time.thread_time()
        detector.detect([reduced.image_bgr])
        decoding.append(middle - start)
        detecting.append(time.thread_time() - middle)
    return 1e3 * float(np.median(decoding[1:])), 1e3 * float(np.median(detecting[1:]))


if __name__ == "__main__":
    main()
