"""Precisions of the detector against ground truth, face by face: `python -m benchmarks.precisions [FOLDER]`.

FOLDER holds photographs and dlib's XML of their faces; each is seen in several sizes, mirrored too. Printed are means of
what was found of each face, and how far a precision's differ from the first one's, with the interval that holds 95 of
100 means when photographs are drawn anew from these (bootstrap over photographs: faces of one are alike).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

from benchmarks.curve import MATCH_IOU, as_jpeg
from benchmarks.truth import Truth, read_truth
from common.arrays import FloatArray
from common.choices import DetectorPrecision
from common.errors import MaskmillError
from common.images import decode_reduced
from common.weights import cache_dir, find
from workers.detectors.base import Detection
from workers.detectors.boxes import iou
from workers.detectors.registry import open_detector
from workers.landmarks.points import five_points
from workers.landmarks.registry import open_landmarker

TIMES = (0.3, 0.42, 0.6, 0.8, 1.0, 1.4, 2.0)
_SIDE = 640
_DRAWS = 4000
_MEASURES = ("box, IoU %", "five points, %", "68 points, %")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/faces"))
    parser.add_argument("--enlarge", type=float, nargs="+", default=TIMES, help="times; below 1: reduced")
    parser.add_argument(
        "--detector-precision", choices=get_args(DetectorPrecision), nargs="+", default=["fp32", "int8"]
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(0)
    truths = read_truth(arguments.folder)
    if not truths:
        parser.error(f"no photograph with ground truth in {arguments.folder}")
    landmarker = open_landmarker("dlib68", find("dlib68"), device="cpu", threads=1)
    detectors = {precision: _detector(precision) for precision in arguments.detector_precision}
    # Precision → photograph → one row a face, size and mirror image.
    rows: dict[str, list[FloatArray]] = {precision: [] for precision in detectors}
    strangers = dict.fromkeys(detectors, 0)
    for name, truth in truths.items():
        of_photograph: dict[str, list[FloatArray]] = {precision: [] for precision in detectors}
        for times in arguments.enlarge:
            for flip in (False, True):
                image = decode_reduced(as_jpeg(arguments.folder / name, times, flip), _SIDE).image_bgr
                true = truth.seen(times, image.shape[1] if flip else None)
                for precision, detector in detectors.items():
                    (found,) = detector.detect([image])
                    measured = _measure(image, found, true, landmarker)
                    of_photograph[precision].append(measured)
                    strangers[precision] += len(found) - int(np.isfinite(measured[:, 0]).sum())
        for precision, parts in of_photograph.items():
            rows[precision].append(np.concatenate(parts))
    print(f"{'':8}{'found':>12}{'no face':>9}" + "".join(f"{name:>28}" for name in _MEASURES))
    first = next(iter(rows))
    for precision, found in rows.items():
        together = np.concatenate(found)
        count = f"{np.isfinite(together[:, 0]).sum()}/{len(together)}"
        means = "".join(f"{one:>28.3f}" for one in np.nanmean(together, axis=0))
        print(f"{precision:8}{count:>12}{strangers[precision]:>9}{means}")
        if precision != first:
            print(f"{f'- {first}':29}{_differences(rows[first], found)}")


def _detector(precision: DetectorPrecision) -> Any:
    path = find("centerface")
    return open_detector(
        "centerface", path, device="cpu", threads=1, side=_SIDE, cache_dir=cache_dir(), precision=precision
    )


def _measure(image: Any, found: Detection, true: Truth, landmarker: Any) -> FloatArray:
    """(faces, 3): IoU in %, errors of points in % of the distance of the outer eye corners; NaN: not found."""
    measured = np.full((len(true.boxes_xyxy), 3), np.nan)
    overlap = iou(true.boxes_xyxy, found.boxes_xyxy)
    if not overlap.size:
        return measured
    points = landmarker.find(image, found.boxes_xyxy, found.points5).points68
    for face, row in enumerate(overlap):
        place = row.argmax()
        if row[place] < MATCH_IOU:
            continue
        wanted = true.points68[face]
        eyes = np.linalg.norm(wanted[36] - wanted[45])
        pairs = ((found.points5[place], five_points(wanted)), (points[place], wanted))
        errors = [float(np.linalg.norm(one - other, axis=1).mean() / eyes) for one, other in pairs]
        measured[face] = 100 * np.array([row[place], *errors])
    return measured


def _differences(before: list[FloatArray], after: list[FloatArray]) -> str:
    """Mean differences of faces that both found, each with its interval."""
    pairs = [other - one for one, other in zip(before, after, strict=True)]
    both = [pair[np.isfinite(pair).all(axis=1)] for pair in pairs]
    sums, counts = np.array([one.sum(axis=0) for one in both]), np.array([len(one) for one in both])
    drawn = np.random.default_rng(0).integers(0, len(both), (_DRAWS, len(both)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)[:, None]
    low, high = np.percentile(means, [2.5, 97.5], axis=0)
    mean = sums.sum(axis=0) / counts.sum()
    cells = (f"{a:+.3f} ({b:+.3f} to {c:+.3f})" for a, b, c in zip(mean, low, high, strict=True))
    return "".join(f"{cell:>28}" for cell in cells)


if __name__ == "__main__":
    try:
        main()
    except MaskmillError as exc:
        raise SystemExit(str(exc)) from None
