"""Pictures on their way into a network: fitted into its size, and its numbers made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from workers.descriptions import InputForm


@dataclass(frozen=True)
class Frame:
    """A picture as large as the network's input.

    Attributes:
        image_bgr: (H, W, 3) uint8; black to the right and below where the picture was kept in proportion.
        factors: (2,), width and height in the frame over those of the picture.
    """

    image_bgr: ImageBgr
    factors: FloatArray


def fit(image_bgr: ImageBgr, form: InputForm, size_wh: tuple[int, int] | None, side: int) -> Frame:
    """Fit a picture into the network's input.

    Args:
        size_wh: the network's; the picture is reduced or enlarged to it. None: any size will do.
        side: the longer side, pixels, that a picture is reduced to where any size will do; never enlarged.
    """
    height, width = image_bgr.shape[:2]
    if size_wh is None:
        ratio = min(1.0, side / max(width, height))
        inner = max(1, round(width * ratio)), max(1, round(height * ratio))
        outer = tuple(-(-length // form.multiple) * form.multiple for length in inner)
        if form.fit == "squash":
            inner = outer[0], outer[1]
    else:
        outer = size_wh
        ratio = min(size_wh[0] / width, size_wh[1] / height)
        inner = max(1, round(width * ratio)), max(1, round(height * ratio))
        if form.fit == "squash":
            inner = size_wh
    factors = np.array([inner[0] / width, inner[1] / height])
    if inner != (width, height):
        # Area averages when shrinking; when growing it would repeat pixels.
        how = cv2.INTER_AREA if factors.max() < 1 else cv2.INTER_LINEAR
        image_bgr = np.asarray(cv2.resize(image_bgr, inner, interpolation=how), dtype=np.uint8)
    frame = np.zeros((outer[1], outer[0], 3), dtype=np.uint8)
    frame[: inner[1], : inner[0]] = image_bgr
    return Frame(frame, factors)


def to_input(images_bgr: Sequence[ImageBgr], form: InputForm, batch: int | None = None) -> npt.NDArray[Any]:
    """Return the network's input made of pictures of one size.

    Args:
        batch: items that the network wants; black ones are added. None: as many as there are.

    Returns:
        (n, 3, H, W) or (n, H, W, 3): (x − mean) · scale, or uint8 as they are.
    """
    stacked = np.stack(images_bgr)
    if batch is not None and len(stacked) < batch:
        stacked = np.concatenate([stacked, np.zeros((batch - len(stacked), *stacked.shape[1:]), np.uint8)])
    if form.color == "rgb":
        stacked = stacked[..., ::-1]
    numbers: npt.NDArray[Any] = stacked
    if form.type == "float32":
        numbers = (stacked.astype(np.float32) - np.array(form.mean, np.float32)) * np.array(
            form.scale, np.float32
        )
    if form.axes == "nchw":
        numbers = numbers.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(numbers)


def declared_size(shape: Sequence[Any], form: InputForm) -> tuple[int, int] | None:
    """Return width and height that the file's input shape says, or else the description; None: any."""
    height, width = shape[2:4] if form.axes == "nchw" else shape[1:3]
    return (width, height) if isinstance(height, int) and isinstance(width, int) else form.size
