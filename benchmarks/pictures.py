"""Pictures to measure on, made at run time: from photographs of known faces, else from one in the public domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.data import astronaut

from benchmarks.truth import read_truth

GROUP_WH = (1024, 768)
_PORTRAIT_SIDES = (150, 250)
_PORTRAIT_VIEW = 1.9
"""Side of a portrait, in widths of its face's box."""

KINDS = {
    "portrait": "one face, 150-250 px",
    "group": "1024x768, 6-7 large faces",
    "crowd": "1024x768, 20-odd faces, most of them small",
}


def write_pictures(folder: Path, kind: str, count: int, photographs: Path | None = None) -> None:
    """Write `count` JPEGs, each a little different.

    Args:
        kind: one of `KINDS`.
        photographs: a folder of photographs with dlib's XML of their faces; None or without faces: one
            photograph in the public domain is used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    truths = {} if photographs is None else read_truth(photographs)
    if photographs is not None and truths:
        faces = [
            (photographs / name, box) for name, truth in sorted(truths.items()) for box in truth.boxes_xyxy
        ]
        groups = [photographs / name for name, truth in sorted(truths.items()) if len(truth.boxes_xyxy) >= 6]
    else:
        faces, groups = [], []
    make: Callable[[int], Image.Image]
    if kind == "portrait":
        make = _portraits(faces, rng)
    elif kind == "group" and groups:
        make = _enlarged(groups, rng)
    else:
        make = _collages(faces, rng, small=0 if kind == "group" else 16)
    for number in range(count):
        make(number).save(folder / f"{kind}{number:05d}.jpg", quality=92)


def _portraits(
    faces: list[tuple[Path, np.ndarray]], rng: np.random.Generator
) -> Callable[[int], Image.Image]:
    tiles = _tiles(faces)

    def make(number: int) -> Image.Image:
        side = int(rng.integers(_PORTRAIT_SIDES[0], _PORTRAIT_SIDES[1] + 1))
        return _tilted(next(tiles), rng).resize((side, side), Image.Resampling.BICUBIC)

    return make


def _enlarged(groups: list[Path], rng: np.random.Generator) -> Callable[[int], Image.Image]:
    opened = []
    for path in groups:
        with Image.open(path) as photograph:
            opened.append(photograph.convert("RGB"))

    def make(number: int) -> Image.Image:
        picture = opened[number % len(opened)]
        # A pixel here and there is cut off, so that no two pictures are alike.
        left, top = (int(one) for one in rng.integers(0, 6, 2))
        return picture.crop((left, top, *picture.size)).resize(GROUP_WH, Image.Resampling.BICUBIC)

    return make


def _collages(
    faces: list[tuple[Path, np.ndarray]], rng: np.random.Generator, *, small: int
) -> Callable[[int], Image.Image]:
    tiles = _tiles(faces)

    def make(number: int) -> Image.Image:
        picture = Image.new("RGB", GROUP_WH, (96, 104, 112))
        large, rows = (6, 2) if not small else (6, 1)
        width, height = GROUP_WH[0] // (large // rows), 384 if not small else 288
        side = min(width, height)
        for cell in range(large):
            tile = _tilted(next(tiles), rng).resize((side, side), Image.Resampling.BICUBIC)
            picture.paste(tile, (cell % (large // rows) * width, cell // (large // rows) * height))
        for cell in range(small):
            tile = _tilted(next(tiles), rng).resize((110, 110), Image.Resampling.BICUBIC)
            picture.paste(tile, (cell % 8 * 128 + 8, 400 + cell // 8 * 180))
        return picture

    return make


def _tilted(tile: Image.Image, rng: np.random.Generator) -> Image.Image:
    return tile.rotate(float(rng.uniform(-12, 12)), Image.Resampling.BICUBIC)


def _tiles(faces: list[tuple[Path, np.ndarray]]) -> Iterator[Image.Image]:
    """Square views of one face each, again and again."""
    if not faces:
        portrait = Image.fromarray(astronaut()).crop((96, 0, 352, 256))
        while True:
            yield portrait
    views = []
    for path, box in faces:
        with Image.open(path) as photograph:
            middle, half = (box[:2] + box[2:]) / 2, (box[2] - box[0]) * _PORTRAIT_VIEW / 2
            views.append(photograph.convert("RGB").crop((*(middle - half), *(middle + half))))
    while True:
        yield from views
