"""Measure how real drawn masks are: `python -m benchmarks.realism [FOLDER]`.

FOLDER holds photographs and dlib's XML files of face boxes with 68 landmarks. Every face is drawn on several
times, once at the true landmarks and once at those the pipeline finds; both are judged by the true ones.
The wanted figures are those of issue 4. Times are those of one thread.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from benchmarks.accuracy import MATCH_IOU
from benchmarks.measures import covers_as_worn, light_pair, seam_width, slope, stray_pixels
from benchmarks.truth import Truth, read_truth
from common.arrays import FloatArray, ImageBgr
from common.errors import MaskmillError, UndrawableFace
from common.weights import cache_dir, find
from workers.detectors.boxes import iou
from workers.detectors.registry import open_detector
from workers.facepoints import grown_by_half
from workers.landmarks.registry import open_landmarker
from workers.masks.choose import choose
from workers.masks.draw import paint

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Sitter:
    """A face to draw on: where the mask goes, and the points by which it is judged."""

    name: str
    box_xyxy: Box
    points68: FloatArray
    true68: FloatArray


@dataclass
class Tally:
    """What was measured over many drawings."""

    covered: list[bool] = field(default_factory=list)
    eyes_free: list[bool] = field(default_factory=list)
    light: list[tuple[float, float]] = field(default_factory=list)
    light_without_hair: list[tuple[float, float]] = field(default_factory=list)
    seams: list[float] = field(default_factory=list)
    bare_seams: list[float] = field(default_factory=list)
    stray: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    undrawn: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def measure(images: dict[str, ImageBgr], sitters: list[Sitter], variants: int, seed: int) -> Tally:
    """Draw every variant on every face and measure it."""
    tally = Tally()
    for number, sitter in enumerate(sitters):
        image = images[sitter.name]
        bare = seam_width(image, sitter.true68)
        tally.bare_seams += [] if bare is None else [bare]
        for variant in range(variants):
            spec, rng = choose(seed, sitter.name.encode(), variant, number, (), ())
            canvas, alpha = image.copy(), np.zeros(image.shape[:2], np.uint8)
            limit = grown_by_half(sitter.box_xyxy)
            start = time.perf_counter()
            try:
                paint(canvas, alpha, sitter.points68, spec, rng, limit_xyxy=limit)
            except UndrawableFace as exc:
                tally.undrawn.append(f"{sitter.name} {number}: {exc}")
                break
            tally.seconds.append(time.perf_counter() - start)
            covered, free = covers_as_worn(alpha, sitter.true68)
            tally.covered.append(covered)
            tally.eyes_free.append(free)
            if not (covered and free):
                what = "eyes" if covered else "cover"
                tally.failed.append(f"{sitter.name} face {number} variant {variant} {spec.kind}: {what}")
            pair, seam = light_pair(canvas, alpha, sitter.true68), seam_width(canvas, sitter.true68)
            tally.light += [] if pair is None else [pair]
            pair = light_pair(canvas, alpha, sitter.true68, without_hair=True)
            tally.light_without_hair += [] if pair is None else [pair]
            tally.seams += [] if seam is None else [seam]
            tally.stray.append(stray_pixels(image, canvas, limit))
    return tally


def true_sitters(truths: dict[str, Truth]) -> list[Sitter]:
    """Return every face at its true landmarks."""
    return [
        Sitter(name, _box(box), points, points)
        for name, truth in truths.items()
        for box, points in zip(truth.boxes_xyxy, truth.points68, strict=True)
    ]


def found_sitters(
    images: dict[str, ImageBgr], truths: dict[str, Truth], models: Path | None, device: str
) -> list[Sitter]:
    """Return every true face that the pipeline finds, at the landmarks it finds."""
    cache = cache_dir()
    detector = open_detector(
        "centerface", find("centerface", None, models), device=device, threads=1, cache_dir=cache
    )
    landmarker = open_landmarker("dlib68", find("dlib68", None, models), device=device, threads=1)
    sitters = []
    for name, truth in truths.items():
        faces = detector.detect([images[name]])[0]
        found = landmarker.find(images[name], faces.boxes_xyxy, faces.points5).points68
        for overlap, points in zip(iou(truth.boxes_xyxy, faces.boxes_xyxy), truth.points68, strict=True):
            if len(overlap) and overlap.max() >= MATCH_IOU:
                best = int(overlap.argmax())
                sitters.append(Sitter(name, _box(faces.boxes_xyxy[best]), found[best], points))
    return sitters


def print_table(tallies: dict[str, Tally]) -> None:
    """Print every measure beside what is wanted."""
    rows = [
        ("faces drawn / left alone", "", lambda t: f"{len(t.stray)} / {len(t.undrawn)}"),
        ("nose, mouth, chin covered", "", lambda t: f"{np.mean(t.covered):.3f}"),
        ("both eyes free", "", lambda t: f"{np.mean(t.eyes_free):.3f}"),
        ("both", ">= .985", lambda t: f"{np.mean(np.array(t.covered) & t.eyes_free):.3f}"),
        ("light: slope of asymmetries", ".75-1.0", lambda t: f"{slope(t.light):.2f}"),
        ("the same without hair", "", lambda t: f"{slope(t.light_without_hair):.2f}"),
        (
            "correlation without hair",
            "",
            lambda t: f"{np.corrcoef(np.transpose(t.light_without_hair))[0, 1]:.2f}",
        ),
        ("seam 10-90 %, px", "4.5-6", lambda t: f"{np.median(t.seams):.2f}"),
        ("the same, bare skin", "", lambda t: f"{np.median(t.bare_seams):.2f}"),
        ("drawings with stray paint", "0", lambda t: f"{np.count_nonzero(t.stray)}"),
        ("ms a face", "", lambda t: f"{1e3 * np.median(t.seconds):.1f}"),
    ]
    print(f"{'':32}{'wanted':>10}" + "".join(f"{name:>16}" for name in tallies))
    for name, wanted, figure in rows:
        print(f"{name:32}{wanted:>10}" + "".join(f"{figure(tally):>16}" for tally in tallies.values()))


def _box(box: FloatArray) -> Box:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2


def main() -> None:
    """Measure on a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/faces"))
    parser.add_argument("--variants", type=int, default=6, help="masks drawn on each face")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", type=Path, help="folder that is searched for models")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--verbose", action="store_true", help="name every drawing that fails")
    args = parser.parse_args()

    cv2.setNumThreads(0)
    truths = read_truth(args.folder)
    read = {name: cv2.imread(str(args.folder / name)) for name in truths}
    images = {name: np.asarray(image, dtype=np.uint8) for name, image in read.items() if image is not None}
    truths = {name: truth for name, truth in truths.items() if name in images}
    if not truths:
        print(f"no photograph with ground truth in {args.folder}: nothing to measure")
        return
    tallies = {
        "true points": measure(images, true_sitters(truths), args.variants, args.seed),
        "found points": measure(
            images, found_sitters(images, truths, args.models, args.device), args.variants, args.seed
        ),
    }
    print_table(tallies)
    if args.verbose:
        for name, tally in tallies.items():
            print(*(f"{name}: {line}" for line in [*tally.undrawn, *tally.failed]), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except MaskmillError as exc:
        raise SystemExit(str(exc)) from None
