"""Measure detectors and landmark models against ground truth: `python -m benchmarks.accuracy [FOLDER]`.

FOLDER holds photographs and dlib's XML files of face boxes with 68 landmarks. Times are those of one thread.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from benchmarks.truth import Truth, read_truth
from common.arrays import ImageBgr
from common.choices import DetectorPrecision
from common.errors import MaskmillError
from common.weights import cache_dir, find
from workers.detectors.base import Detection, Detector
from workers.detectors.boxes import iou
from workers.detectors.registry import DETECTORS, open_detector
from workers.landmarks.base import Landmarker
from workers.landmarks.registry import LANDMARKERS, open_landmarker

MATCH_IOU = 0.4
EYE_CORNERS = (36, 45)


def measure_detector(
    detector: Detector, images: dict[str, ImageBgr], truths: dict[str, Truth]
) -> dict[str, Detection]:
    """Print recall, precision, false faces and time; return the faces found."""
    detector.detect(list(images.values())[:1])
    start = time.perf_counter()
    found = {name: detector.detect([image])[0] for name, image in images.items()}
    milliseconds = (time.perf_counter() - start) / len(images) * 1e3
    overlaps = [iou(truth.boxes_xyxy, found[name].boxes_xyxy) >= MATCH_IOU for name, truth in truths.items()]
    recalled = sum(int(overlap.any(axis=1).sum()) for overlap in overlaps)
    right = sum(int(overlap.any(axis=0).sum()) for overlap in overlaps)
    print(
        f"{detector.name} ({detector.provider}): recall {recalled}/{sum(len(o) for o in overlaps)}, "
        f"precision {right}/{sum(o.shape[1] for o in overlaps)}, "
        f"faces on dogs.jpg {len(found['dogs.jpg']) if 'dogs.jpg' in found else 'n/a'}, "
        f"{milliseconds:.1f} ms an image"
    )
    return found


def measure_landmarks(
    landmarker: Landmarker, images: dict[str, ImageBgr], truths: dict[str, Truth], found: dict[str, Detection]
) -> None:
    """Print the error over matched faces, in % of the distance of the outer eye corners, and the time."""
    errors: list[float] = []
    seconds = 0.0
    for name, truth in truths.items():
        faces = found[name]
        overlap = iou(truth.boxes_xyxy, faces.boxes_xyxy)
        start = time.perf_counter()
        points = landmarker.find(images[name], faces.boxes_xyxy, faces.points5).points68
        seconds += time.perf_counter() - start
        for face, row in enumerate(overlap):
            if len(row) and row.max() >= MATCH_IOU:
                true = truth.points68[face]
                eyes = np.linalg.norm(true[EYE_CORNERS[0]] - true[EYE_CORNERS[1]])
                off = np.linalg.norm(points[row.argmax()] - true, axis=1)
                errors.append(float(off.mean() / eyes * 100))
    milliseconds = seconds / max(1, sum(len(found[name]) for name in truths)) * 1e3
    if errors:
        print(
            f"  {landmarker.name} ({landmarker.provider}): mean {np.mean(errors):.2f} %, "
            f"median {np.median(errors):.2f} %, worst {max(errors):.1f} % of {len(errors)} faces, "
            f"{milliseconds:.2f} ms a face"
        )


def main() -> None:
    """Measure the chosen models on a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/faces"))
    parser.add_argument(
        "--detector", action="append", choices=DETECTORS, help="repeatable; default centerface"
    )
    parser.add_argument("--detector-model", type=Path)
    parser.add_argument(
        "--landmarks", action="append", choices=LANDMARKERS, help="repeatable; default dlib68"
    )
    parser.add_argument("--landmark-model", type=Path)
    parser.add_argument("--models", type=Path, help="folder that is searched for models")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--score", type=float, default=0.5)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--detector-precision", choices=get_args(DetectorPrecision), default="auto")
    args = parser.parse_args()

    cv2.setNumThreads(0)
    read = {path.name: cv2.imread(str(path)) for path in sorted(args.folder.glob("*.jpg"))}
    images = {name: np.asarray(image, dtype=np.uint8) for name, image in read.items() if image is not None}
    truths = {name: truth for name, truth in read_truth(args.folder).items() if name in images}
    if not truths:
        parser.error(f"no photograph with ground truth in {args.folder}")
    for name in args.detector or ["centerface"]:
        detector = open_detector(
            name,
            find(name, args.detector_model, args.models),
            device=args.device,
            threads=1,
            score=args.score,
            side=args.side,
            precision=args.detector_precision,
            cache_dir=cache_dir(),
        )
        found = measure_detector(detector, images, truths)
        for landmarks in args.landmarks or ["dlib68"]:
            path = find(landmarks, args.landmark_model, args.models)
            measure_landmarks(
                open_landmarker(landmarks, path, device=args.device, threads=1), images, truths, found
            )


if __name__ == "__main__":
    try:
        main()
    except MaskmillError as exc:
        raise SystemExit(str(exc)) from None
