"""Measure the traces of JPEG on skin and on masks: `python -m benchmarks.compression [FOLDER]`.

FOLDER holds photographs and dlib's XML files, as for `benchmarks.realism`. Every photograph is saved anew at several
qualities, and masks are drawn with and without knowing of it. Compared are the same pixels of both cheeks: bare
skin, a mask as it is painted, a mask that was compressed alike. Times are those of one thread.
"""

from __future__ import annotations

import argparse
import io
import time
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.truth import read_truth
from common.arrays import FloatArray, GrayImage, ImageBgr
from common.errors import UndrawableFace
from common.images import ReducedImage, decode_reduced
from common.jpeg_compression import JpegCompression
from workers.masks.choose import choose
from workers.masks.draw import paint

CHEEKS = ([1, 2, 3, 4, 5, 6, 48, 31], [15, 14, 13, 12, 11, 10, 54, 35])
QUALITIES = (30, 50, 75, 90, 93, 100)
BLOCK = 8


@dataclass
class Traces:
    """What was found on cheeks: steps between neighbours, and fine detail in whole blocks, levels of luminance."""

    border: list[FloatArray] = field(default_factory=list)
    inside: list[FloatArray] = field(default_factory=list)
    fine: list[float] = field(default_factory=list)

    def add(self, image_bgr: ImageBgr, where: GrayImage) -> None:
        """Measure where `where` is not 0."""
        grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
        for plane, among in ((grey, where > 0), (grey.T, where.T > 0)):
            steps, both = np.abs(np.diff(plane, axis=1)), among[:, 1:] & among[:, :-1]
            is_border = np.broadcast_to(np.arange(1, plane.shape[1]) % BLOCK == 0, steps.shape)
            self.border.append(steps[both & is_border])
            self.inside.append(steps[both & ~is_border])
        is_fine = np.add.outer(range(BLOCK), range(BLOCK)) >= BLOCK
        for y, x in np.argwhere(where[::BLOCK, ::BLOCK]) * BLOCK:
            square = np.s_[y : y + BLOCK, x : x + BLOCK]
            if where[square].shape == (BLOCK, BLOCK) and where[square].all():
                self.fine.append(float((np.asarray(cv2.dct(grey[square]))[is_fine] ** 2).mean()))

    @property
    def blockiness(self) -> float:
        """Mean step across the borders of blocks over that inside; 1 without compression."""
        return float(np.concatenate(self.border).mean() / np.concatenate(self.inside).mean())

    @property
    def detail(self) -> float:
        """Root mean square of the waves of a block whose numbers add up to 8 or more; the median block's."""
        return float(np.sqrt(np.median(self.fine)))

    @property
    def blank(self) -> float:
        """The part of the blocks that have no more of such waves than rounding to levels leaves."""
        return float(np.mean(np.array(self.fine) < 0.35**2))


@dataclass
class Tally:
    """The same cheeks in three ways, and what both ways of painting took."""

    bare: Traces = field(default_factory=Traces)
    painted: Traces = field(default_factory=Traces)
    compressed: Traces = field(default_factory=Traces)
    seconds: list[tuple[float, float]] = field(default_factory=list)


def measure(folder: Path, quality: int, variants: int, seed: int) -> Tally:
    """Save every photograph at a quality, and measure every variant on every face."""
    tally = Tally()
    for name, truth in read_truth(folder).items():
        for variant in range(variants):
            # Another cut gives other blocks on the same cheek.
            corner_xy = 3 * variant % BLOCK, 5 * variant % BLOCK
            saved = saved_at(folder / name, quality, corner_xy)
            for number, whole_points in enumerate(truth.points68):
                points = whole_points - corner_xy
                whose = (seed, name.encode(), variant, number)
                try:
                    # Once for nothing: what masks of a size have in common is sewn the first time.
                    drawn(saved.image_bgr, points, whose, None)
                    painted, cover, before = drawn(saved.image_bgr, points, whose, None)
                except UndrawableFace:
                    continue
                alike, _, after = drawn(saved.image_bgr, points, whose, saved.compression)
                where = np.where(cover >= 250, _cheeks(points, saved.image_bgr), 0).astype(np.uint8)
                tally.bare.add(saved.image_bgr, where)
                tally.painted.add(painted, where)
                tally.compressed.add(alike, where)
                tally.seconds.append((before, after))
    return tally


def saved_at(path: Path, quality: int, corner_xy: tuple[int, int]) -> ReducedImage:
    """Return a photograph, without what is left of and above a corner, as it is decoded after it was saved as JPEG."""
    with Image.open(path) as picture:
        stream = io.BytesIO()
        cut = picture.convert("RGB").crop((*corner_xy, *picture.size))
        cut.save(stream, "JPEG", quality=quality, subsampling="4:2:0")
    return decode_reduced(stream.getvalue(), None)


def drawn(
    image_bgr: ImageBgr,
    points: FloatArray,
    whose: tuple[int, bytes, int, int],
    compression: JpegCompression | None,
) -> tuple[ImageBgr, GrayImage, float]:
    """Return the picture with a mask, its cover, and the seconds that painting took."""
    canvas, alpha = image_bgr.copy(), np.zeros(image_bgr.shape[:2], np.uint8)
    spec, rng = choose(*whose, (), ())
    start = time.thread_time()
    paint(canvas, alpha, points, spec, rng, light_from=image_bgr, compression=compression)
    return canvas, alpha, time.thread_time() - start


def _cheeks(points: FloatArray, image_bgr: ImageBgr) -> GrayImage:
    where = np.zeros(image_bgr.shape[:2], np.uint8)
    for cheek in CHEEKS:
        cv2.fillConvexPoly(
            where, np.round(cv2.convexHull(points[cheek].astype(np.float32))).astype(np.int32), 1
        )
    return where


def main() -> None:
    """Measure on a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("../shared/faces"))
    parser.add_argument("--variants", type=int, default=6, help="masks drawn on each face")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    cv2.setNumThreads(0)
    print(f"{'':10}{'blockiness':^27}{'fine detail':^27}{'blank blocks':^27}{'ms a mask':^18}")
    print(f"{'quality':10}" + f"{'bare':>9}{'painted':>9}{'alike':>9}" * 3 + f"{'before':>9}{'after':>9}")
    for quality in QUALITIES:
        tally = measure(args.folder, quality, args.variants, args.seed)
        ways = (tally.bare, tally.painted, tally.compressed)
        figures = [f"{getattr(one, what):9.2f}" for what in ("blockiness", "detail", "blank") for one in ways]
        times = 1e3 * np.median(np.array(tally.seconds), axis=0)
        print(f"{quality:<10}" + "".join(figures) + "".join(f"{ms:9.2f}" for ms in times))
    print(f"{len(tally.seconds)} masks, {len(tally.bare.fine)} whole blocks at each quality")


if __name__ == "__main__":
    main()
