"""`--normalization`: what is done to the pixels of a face before the landmark model sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np

from common.arrays import GrayImage, ImageBgr
from common.choices import Normalization

Normalizer: TypeAlias = Callable[[ImageBgr], ImageBgr]

# The spec's (media-and-identity.md §3).
_CLAHE_CLIP = 2.0
_CLAHE_TILES = (4, 4)


def normalizer(name: Normalization) -> Normalizer | None:
    """Return what turns (H, W, 3) uint8 into the same shape, channel by channel; None for `none`."""
    if name == "none":
        return None
    one = {"clahe": _equalized_by_tiles, "hist": _equalized, "mean": stretched}[name]

    def normalize(image_bgr: ImageBgr) -> ImageBgr:
        channels = [one(np.ascontiguousarray(image_bgr[..., channel])) for channel in range(3)]
        return np.stack(channels, axis=-1)

    return normalize


def stretched(channel: GrayImage) -> GrayImage:
    """Return a channel with its least value at 0 and its greatest at 255; a flat one stays as it is."""
    low, high = int(channel.min()), int(channel.max())
    if high == low:
        return channel.copy()
    spread = (channel.astype(np.float64) - low) * (255 / (high - low))
    return np.round(spread).astype(np.uint8)


def _equalized(channel: GrayImage) -> GrayImage:
    return np.asarray(cv2.equalizeHist(channel), dtype=np.uint8)


def _equalized_by_tiles(channel: GrayImage) -> GrayImage:
    # Made anew each time: it holds state, and costs microseconds.
    clahe = cv2.createCLAHE(clipLimit=_CLAHE_CLIP, tileGridSize=_CLAHE_TILES)
    return np.asarray(clahe.apply(channel), dtype=np.uint8)
