"""Crops with records made by hand, for the tests of what reads them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common.metadata import embed_record
from common.options import JobOptions

POINTS_5 = [[1.0, 2.0], [3.0, 2.0], [2.0, 3.0], [1.5, 4.0], [2.5, 4.0]]
MASK = {
    "kind": "N95-white",
    "mask_type": "N95",
    "mask_color": "#efeeea",
    "y_offset": 0.01,
    "rotation_angle": -1.5,
    "wear": "correct",
    "texture": "ab12",
    "yaw": 1.0,
    "pitch": 2.0,
    "roll": 3.0,
    "box": [1, 2, 3, 4],
    "polygon": [[1, 2], [3, 4], [1, 4]],
}


def provenance(relative: str = "a.jpg", face_index: int = 0, **changes: Any) -> dict[str, Any]:
    """A whole provenance; the options are the defaults with seed 7."""
    record: dict[str, Any] = {
        "job": JobOptions(seed=7).key,
        "image_path": f"in/{relative}",
        "relative_path": relative,
        "stem": relative.rpartition(".")[0],
        "image_size": [40, 30],
        "faces": 2,
        "face_index": face_index,
        "ordinal": face_index,
        "box": [1.5 + face_index, 2.0, 4.5, 6.0],
        "score": 0.9,
        "angle": 0.0,
        "points_5": POINTS_5,
        "points_68": [[float(k), float(k) / 2] for k in range(68)],
        "crop_style": "buffalo",
        "crop_size": 112,
        "matrix": [[1.0, 0.0, 2.0], [0.0, 1.0, 3.0]],
        "variant": 0,
        "seed": 7,
        "options": {},
        "mask": MASK,
    }
    return {**record, **changes}


def pixels(number: int) -> np.ndarray:
    """(12, 12, 3) uint8, another one for each number."""
    return np.random.default_rng(number).integers(0, 256, (12, 12, 3), np.uint8)


def write_picture(path: Path, number: int, record: dict[str, Any] | None = None) -> Path:
    """A small picture by the ending of its name, with a record where one is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = io.BytesIO()
    Image.fromarray(pixels(number)).save(data, {".tif": "TIFF", ".jpg": "JPEG"}.get(path.suffix, "PNG"))
    path.write_bytes(data.getvalue() if record is None else embed_record(data.getvalue(), record))
    return path


def write_crop(path: Path, number: int = 0, **changes: Any) -> Path:
    """A crop that says where it comes from."""
    return write_picture(path, number, {"provenance": provenance(**changes)})
