"""The demonstration: a sample photograph through the whole job, and one picture of what came out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageDraw, ImageOps

from common.errors import UnfitError

_TILE = 256
_COLUMNS = 6
_VARIANTS = 5


def run_demo(output: str, workers: str | None) -> None:
    """Make the inputs, run the job through the real command line, draw the contact sheet.

    Raises:
        UnfitError: the sample photograph is not installed.
    """
    folder = Path(output).absolute()
    inputs, results = folder / "input", folder / "result"
    make_inputs(inputs)
    command = [
        sys.executable,
        "-P",
        "-m",
        "producer.cli",
        "run",
        "--input",
        str(inputs),
        "--output",
        str(results),
    ]
    command += ["--n-augmentations", str(_VARIANTS), "--save-full", "always", "--with-original", "--labels"]
    command += ["--crop-size", "224", *(["--workers", workers] if workers else [])]
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        sys.exit(code)
    sheet = folder / "contact-sheet.png"
    draw_contact_sheet(results, sheet)
    click.echo(f"results: {results}\nrows: {results / 'logs.csv'}\none picture of them all: {sheet}")


def make_inputs(folder: Path) -> None:
    """Write the photograph and pictures made from it: turned, small, grey, dark, several faces in one.

    Raises:
        UnfitError: scikit-image is not installed.
    """
    try:
        from skimage.data import astronaut
    except ImportError as exc:
        raise UnfitError(
            "the sample photograph comes with scikit-image; run: pip install scikit-image"
        ) from exc
    folder.mkdir(parents=True, exist_ok=True)
    photograph = Image.fromarray(astronaut())
    photograph.save(folder / "astronaut.jpg", quality=95)
    photograph.rotate(25, Image.Resampling.BICUBIC, fillcolor=(90, 90, 90)).save(
        folder / "tilted.jpg", quality=95
    )
    photograph.resize((160, 160), Image.Resampling.LANCZOS).save(folder / "small.png")
    ImageOps.grayscale(photograph).save(folder / "grey.png")
    dark = Image.fromarray((np.asarray(photograph) * 0.4).astype(np.uint8))
    dark.save(folder / "dark.jpg", quality=90)
    group = Image.new("RGB", (1024, 512))
    group.paste(photograph, (0, 0))
    group.paste(ImageOps.mirror(photograph), (512, 0))
    group.save(folder / "group.jpg", quality=95)
    # Telephones write pictures lying down, with a note which way is up.
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph.rotate(90, expand=True).save(folder / "phone.jpg", quality=95, exif=exif)


def draw_contact_sheet(results: Path, sheet: Path) -> None:
    """Put the pictures and crops of a result folder on one page."""
    pictures = [results / "astronaut_original.png"]
    pictures += [results / f"astronaut_aug{i}_masked.png" for i in range(_VARIANTS)]
    pictures += [
        results / f"{name}_aug0_masked.png" for name in ("tilted", "small", "grey", "dark", "phone", "group")
    ]
    for style in ("buffalo", "original_cropping", "scale_shift"):
        pictures += [results / f"astronaut_{style}.jpg"]
        pictures += [results / f"astronaut_aug{i}_{style}.jpg" for i in range(_VARIANTS)]
    pictures += [results / f"astronaut_aug{i}_mask.png" for i in range(_VARIANTS)]
    there = [path for path in pictures if path.exists()]
    rows = -(-len(there) // _COLUMNS)
    page = Image.new("RGB", (_COLUMNS * _TILE, rows * (_TILE + 16)), "white")
    pen = ImageDraw.Draw(page)
    for number, path in enumerate(there):
        x, y = number % _COLUMNS * _TILE, number // _COLUMNS * (_TILE + 16)
        with Image.open(path) as picture:
            page.paste(ImageOps.contain(picture.convert("RGB"), (_TILE - 4, _TILE - 4)), (x + 2, y + 16))
        pen.text((x + 4, y + 2), path.name, fill="black")
    page.save(sheet)
