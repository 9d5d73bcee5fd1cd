"""Pictures to measure on, made from one photograph in the public domain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from skimage.data import astronaut


def write_pictures(folder: Path, kind: str, count: int) -> None:
    """Write `count` JPEGs, each a little different.

    Args:
        kind: `portrait` (200×200, one face) or `group` (1024×768, six faces).
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    photograph = Image.fromarray(astronaut())
    portrait = photograph.crop((96, 0, 352, 256))
    for number in range(count):
        if kind == "portrait":
            picture = portrait.rotate(float(rng.uniform(-12, 12)), Image.Resampling.BICUBIC).resize(
                (200, 200)
            )
        else:
            picture = Image.new("RGB", (1024, 768))
            for cell in range(6):
                tile = portrait.rotate(float(rng.uniform(-12, 12)), Image.Resampling.BICUBIC).resize(
                    (341, 384)
                )
                picture.paste(tile, (cell % 3 * 341, cell // 3 * 384))
        picture.save(folder / f"{kind}{number:05d}.jpg", quality=92)
