"""98 points (WFLW) of a network that the user brings, given as 68."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from common.errors import UnfitError
from workers.landmarks.network import NetworkLandmarker
from workers.landmarks.normalization import Normalizer
from workers.landmarks.points import WFLW_FIVE, WFLW_TO_68
from workers.opening import open_network
from workers.sessions import trial_run

_SIDE = 64


class Onnx98:
    """A network uint8 [n, 64, 64, 3] BGR → float [n, 98, 2] as (y, x) in 0–1 of the crop."""

    name = "onnx98"

    def __init__(self, normalize: Normalizer | None = None) -> None:
        """Take what is done to each crop."""
        self._normalize = normalize

    def cut(self, image_bgr: ImageBgr, box_xyxy: FloatArray) -> ImageBgr:
        """Return the box squashed to (64, 64, 3)."""
        crop = cut_box(image_bgr, _whole_pixels(box_xyxy))
        return crop if self._normalize is None else self._normalize(crop)

    def to_input(self, crops: Sequence[ImageBgr]) -> npt.NDArray[np.uint8]:
        """Return (n, 64, 64, 3) uint8."""
        return np.stack(crops)

    def read(self, output: Any, box_xyxy: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (68, 2) and (5, 2) points in pixels of the image from (98, 2)."""
        box = np.array(_whole_pixels(box_xyxy), dtype=np.float64)
        points98 = box[:2] + np.asarray(output, dtype=np.float64)[:, ::-1] * (box[2:] - box[:2])
        return points98[WFLW_TO_68], points98[WFLW_FIVE]


def open_onnx98(
    path: Path, *, device: str, threads: int, cache_dir: Path | None, normalize: Normalizer | None = None
) -> NetworkLandmarker:
    """Open the network; raises UnfitError where its input or output is another."""
    session = open_network(
        path, device=device, threads=threads, cache_dir=cache_dir, label=f"the landmark model {path}"
    )
    inputs, outputs = session.get_inputs(), session.get_outputs()
    fits = len(inputs) == 1 and inputs[0].type == "tensor(uint8)" and inputs[0].shape[1:] == [_SIDE, _SIDE, 3]
    # An output of unknown size is taken at its word until it answers.
    shape = outputs[0].shape
    declared = shape[1:] if shape else [98, 2]
    if not fits or any(
        isinstance(has, int) and has != want for has, want in zip(declared, (98, 2), strict=False)
    ):
        raise UnfitError(
            f"the model {path} must take uint8 [n, 64, 64, 3] and give [n, 98, 2], it takes "
            f"{inputs[0].type} {inputs[0].shape} and gives {shape}; give another --landmark-model"
        )
    landmarker = NetworkLandmarker(session, Onnx98(normalize))
    with trial_run(path, "98 landmarks"):
        blank = np.zeros((_SIDE, _SIDE, 3), dtype=np.uint8)
        landmarker.find(blank, np.array([[0.0, 0, _SIDE, _SIDE]]), None)
    return landmarker


def cut_box(image_bgr: ImageBgr, box_xyxy: tuple[int, int, int, int]) -> ImageBgr:
    """Return the box squashed to (64, 64, 3); what lies outside the image is black."""
    left, top, right, bottom = box_xyxy
    inside = image_bgr[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    if inside.shape[:2] != (bottom - top, right - left):
        crop = np.zeros((bottom - top, right - left, 3), dtype=np.uint8)
        y, x = max(0, -top), max(0, -left)
        crop[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        inside = crop
    return np.asarray(cv2.resize(inside, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _whole_pixels(box_xyxy: FloatArray) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(float(value)) for value in box_xyxy)
    return left, top, max(right, left + 1), max(bottom, top + 1)
