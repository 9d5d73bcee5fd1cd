"""Small photographs to run faults on: one face each, no two alike, made from one picture."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

MARKED_WIDTH = 151
"""Pictures of this width are those that a fault is for; no other has it."""


def write_photographs(folder: Path, count: int, *, marked: tuple[int, ...] = ()) -> Path:
    """Write JPEGs of 112 to 144 pixels; those at the positions `marked` are `MARKED_WIDTH` wide."""
    from skimage.data import astronaut

    folder.mkdir(parents=True, exist_ok=True)
    portrait = Image.fromarray(astronaut()).crop((96, 0, 352, 256))
    for number in range(count):
        side = MARKED_WIDTH if number in marked else 112 + number % 5 * 8
        turned = portrait.rotate(number % 31 - 15, Image.Resampling.BILINEAR)
        turned.resize((side, side), Image.Resampling.BILINEAR).save(
            folder / f"p{number:06d}.jpg", quality=80 + number % 15
        )
    return folder


def write_tiny_files(folder: Path, count: int, *, per_folder: int = 1000) -> Path:
    """Make grey PNGs of 16×16 pixels, without any face, in folders of a thousand links to one file."""
    for first in range(0, count, per_folder):
        here = folder / f"d{first // per_folder:04d}"
        here.mkdir(parents=True)
        source = here / f"t{first:07d}.png"
        Image.new("L", (16, 16), 128).save(source)
        for number in range(first + 1, min(first + per_folder, count)):
            os.link(source, here / f"t{number:07d}.png")
    return folder
