"""Small photographs to run faults on: one face each, no two alike, made from one picture."""

from __future__ import annotations

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
    """Write grey PNGs of 16×16 pixels, without any face, in folders of a thousand."""
    import io

    buffer = io.BytesIO()
    Image.new("L", (16, 16), 128).save(buffer, "PNG")
    for number in range(count):
        if number % per_folder == 0:
            here = folder / f"d{number // per_folder:04d}"
            here.mkdir(parents=True, exist_ok=True)
        (here / f"t{number:07d}.png").write_bytes(buffer.getvalue())
    return folder
