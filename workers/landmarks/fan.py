"""68 points as heat maps (the layout of FAN), of a network that the user brings.

Bulat & Tzimiropoulos 2017, "How far are we from solving the 2D & 3D Face Alignment problem?". The network looks
at a square around the box and answers with one map per point; the point lies in the cell of the greatest
value, a quarter of a cell towards the greater of its neighbours. The square is that of the authors' code: 200/195
of width and height together, its centre 0.12 of the height above that of the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.errors import UnfitError
from workers.descriptions import Description, read_description
from workers.detectors.frames import declared_size, to_input
from workers.landmarks.network import NetworkLandmarker
from workers.landmarks.normalization import Normalizer
from workers.landmarks.points import five_points
from workers.opening import open_network
from workers.sessions import trial_run

PUBLISHED_INPUT = {"size": (256, 256), "color": "rgb", "scale": 1 / 255}
_BOX_SCALE = 200 / 195
_SHIFT_Y = -0.12
_POINTS = 68


class Fan:
    """A network float [n, 3, H, W] → float [n, 68, h, w], a map per point of iBUG 300-W."""

    name = "fan"

    def __init__(self, description: Description, side: int, normalize: Normalizer | None = None) -> None:
        """Take what is known about the model, the side of its input, and what is done to each crop."""
        self._form = description.input
        self._side = side
        self._box_scale = description.decode.box_scale or _BOX_SCALE
        shift = description.decode.shift_y
        self._shift_y = _SHIFT_Y if shift is None else shift
        self._normalize = normalize

    def cut(self, image_bgr: ImageBgr, box_xyxy: FloatArray) -> ImageBgr:
        """Return the square, (side, side, 3); what lies outside the image is black."""
        corner, length = self._square(box_xyxy)
        height, width = image_bgr.shape[:2]
        left, top = np.floor(corner).astype(int).tolist()
        right, bottom = np.ceil(corner + length).astype(int).tolist()
        inside = image_bgr[
            max(0, top) : max(0, min(bottom, height)), max(0, left) : max(0, min(right, width))
        ]
        crop = np.zeros((self._side, self._side, 3), dtype=np.uint8)
        if inside.size:
            factor = self._side / length
            if factor < 0.5:  # bilinear alone would skip pixels
                few = max(1, round(inside.shape[1] * factor * 2)), max(1, round(inside.shape[0] * factor * 2))
                reduced = np.asarray(cv2.resize(inside, few, interpolation=cv2.INTER_AREA), dtype=np.uint8)
            else:
                reduced = inside
            ratio = np.array([reduced.shape[1] / inside.shape[1], reduced.shape[0] / inside.shape[0]])
            shift = (np.array([max(0, left), max(0, top)]) - corner) * factor
            # Whole numbers are the middles of pixels for OpenCV, borders here.
            scales = factor / ratio
            matrix = np.column_stack([np.diag(scales), shift + scales * 0.5 - 0.5])
            cv2.warpAffine(
                reduced, matrix, (self._side, self._side), dst=crop, borderMode=cv2.BORDER_CONSTANT
            )
        return crop if self._normalize is None else self._normalize(crop)

    def to_input(self, crops: Sequence[ImageBgr]) -> Any:
        """Return (n, 3, H, W)."""
        return to_input(crops, self._form)

    def read(self, output: Any, box_xyxy: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (68, 2) and (5, 2) points in pixels of the image from (68, h, w) maps."""
        corner, length = self._square(box_xyxy)
        maps = np.asarray(output, dtype=np.float64)
        cells = np.array([maps.shape[2], maps.shape[1]], dtype=np.float64)
        # Half a pixel: the middle of a pixel has a whole number, in the image too.
        points = corner + (peaks(maps) + 0.5) / cells * length - 0.5
        return points, five_points(points)

    def _square(self, box_xyxy: FloatArray) -> tuple[FloatArray, float]:
        """Corner (2,) and side of the square around a box, pixels."""
        sides = box_xyxy[2:] - box_xyxy[:2]
        centre = (box_xyxy[:2] + box_xyxy[2:]) / 2 + np.array([0.0, self._shift_y * float(sides[1])])
        length = max(1.0, self._box_scale * float(sides.sum()))
        return centre - length / 2, length


def peaks(maps: FloatArray) -> FloatArray:
    """Return (K, 2), x and y of the greatest value of (K, h, w) maps, in cells, to a quarter of a cell."""
    count, height, width = maps.shape
    rows, columns = np.divmod(maps.reshape(count, -1).argmax(axis=1), width)
    each = np.arange(count)

    def lean(before: FloatArray, after: FloatArray, is_inside: Any) -> FloatArray:
        return np.where(is_inside, 0.25 * np.sign(after - before), 0.0)

    x = lean(
        maps[each, rows, np.maximum(columns - 1, 0)],
        maps[each, rows, np.minimum(columns + 1, width - 1)],
        (columns > 0) & (columns < width - 1),
    )
    y = lean(
        maps[each, np.maximum(rows - 1, 0), columns],
        maps[each, np.minimum(rows + 1, height - 1), columns],
        (rows > 0) & (rows < height - 1),
    )
    return np.stack([columns + x, rows + y], axis=1)


def open_fan(
    path: Path, *, device: str, threads: int, cache_dir: Path | None, normalize: Normalizer | None = None
) -> NetworkLandmarker:
    """Open the network; raises UnfitError where its input or output is another."""
    description = read_description(path, "fan", PUBLISHED_INPUT)
    model = description.model
    session = open_network(
        model, device=device, threads=threads, cache_dir=cache_dir, label=f"the landmark model {model}"
    )
    inputs = session.get_inputs()
    size = declared_size(inputs[0].shape, description.input) if len(inputs[0].shape) == 4 else None
    if len(inputs) != 1 or size is None or size[0] != size[1]:
        raise UnfitError(
            f"the model {model} must take one square picture [n, 3, H, W], it takes "
            f"{', '.join(f'{one.name} {one.shape}' for one in inputs)}; give another --landmark-model"
        )
    with trial_run(model, "68 heat maps"):
        landmarker = NetworkLandmarker(session, Fan(description, size[0], normalize))
        first = session.run(
            None,
            {
                inputs[0].name: to_input(
                    [np.zeros((size[1], size[0], 3), np.uint8)], description.input, _batch(inputs)
                )
            },
        )[0]
        if first.ndim != 4 or first.shape[1] != _POINTS:
            raise ValueError(f"[n, 68, h, w] was expected, got {list(first.shape)}")
    return landmarker


def _batch(inputs: Sequence[Any]) -> int | None:
    declared = inputs[0].shape[0]
    return declared if isinstance(declared, int) else None
