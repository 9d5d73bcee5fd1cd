"""Whole batches of pictures from one colour space to another in one call."""

from __future__ import annotations

import itertools
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from common.errors import UsageError

ColorSpace: TypeAlias = Literal["bgr", "rgb", "hsv", "hls", "lab", "luv", "xyz", "ycrcb", "yuv"]

_NAMES = {
    "bgr": "BGR",
    "rgb": "RGB",
    "hsv": "HSV",
    "hls": "HLS",
    "lab": "Lab",
    "luv": "Luv",
    "xyz": "XYZ",
    "ycrcb": "YCrCb",
    "yuv": "YUV",
}


def convert_batch(images: npt.NDArray[Any], source: ColorSpace, target: ColorSpace) -> npt.NDArray[Any]:
    """Convert pictures to another colour space, all in one call of OpenCV.

    Between two spaces that are neither BGR nor RGB the way leads over BGR.

    Args:
        images: (N, H, W, 3) uint8, or float32 in OpenCV's ranges; N may be 0. Stays as it is.
        source: what they are.
        target: what they become.

    Returns:
        A new array of the same shape and dtype; in 8 bits hue goes from 0 to 179.

    Raises:
        UsageError: no such space.
        ValueError: another shape or dtype.
    """
    for name in (source, target):
        if name not in _NAMES:
            raise UsageError(f"a colour space must be one of {', '.join(_NAMES)}, got {name!r}")
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype not in (np.uint8, np.float32):
        raise ValueError(f"images must be (N, H, W, 3) uint8 or float32, got {images.shape} {images.dtype}")
    if source == target or not images.size:
        return images.copy()
    through: list[ColorSpace] = [source, target]
    if not {"bgr", "rgb"} & {source, target}:
        through = [source, "bgr", target]
    # One tall picture: conversion looks at one pixel at a time.
    tall = images.reshape(-1, images.shape[2], 3)
    for before, after in itertools.pairwise(through):
        tall = cv2.cvtColor(tall, getattr(cv2, f"COLOR_{_NAMES[before]}2{_NAMES[after]}"))
    return np.asarray(tall).reshape(images.shape)
