"""What CenterFace sees: pictures reduced, laid on black whose sides its strides divide, as planes or as pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import ImageBgr

MULTIPLE = 32
"""Width and height of the network's input are multiples of this."""


def size_of(image_bgr: ImageBgr) -> tuple[int, int]:
    """Return width and height."""
    return image_bgr.shape[1], image_bgr.shape[0]


def reduced_size(size_wh: tuple[int, int], side: int | None) -> tuple[int, int]:
    """Return the width and height to which an image is reduced: the longer side at most `side`; None: not at all."""
    width, height = size_wh
    if side is None or max(size_wh) <= side:
        return size_wh
    ratio = side / max(width, height)
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def padded_size(size_wh: tuple[int, int], side: int | None) -> tuple[int, int]:
    """Return width and height of what the network sees of an image: multiples of 32."""
    width, height = reduced_size(size_wh, side)
    return -(-width // MULTIPLE) * MULTIPLE, -(-height // MULTIPLE) * MULTIPLE


def _reduce(image_bgr: ImageBgr, side: int | None) -> ImageBgr:
    """Return the image in the size that `reduced_size` says.

    Up to a half by interpolation, in a quarter of the time that means over parts of pixels take; no pixel is passed
    over there. (A JPEG comes at less than twice the size: `common.images.decode_reduced`.)
    """
    size_wh = reduced_size(size_of(image_bgr), side)
    if size_wh == size_of(image_bgr):
        return image_bgr
    is_far = max(image_bgr.shape[:2]) > 2 * max(size_wh)
    way = cv2.INTER_AREA if is_far else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image_bgr, size_wh, interpolation=way), np.uint8)


def to_input(
    side: int | None, images_bgr: Sequence[ImageBgr], empty: Callable[..., Any] = np.empty
) -> npt.NDArray[np.float32]:
    """Return (n, 3, H, W) float32, RGB, 0–255 as they are: the network has its normalisation inside.

    Args:
        side: the images are reduced so that the longer side has at most this many pixels; None: not at all.
        images_bgr: of one padded size: what is left of each lies at the upper left of black.
        empty: gives memory for a shape and a dtype.
    """
    width, height = padded_size(size_of(images_bgr[0]), side)
    tensor: npt.NDArray[np.float32] = empty((len(images_bgr), 3, height, width), np.float32)
    for planes, image in zip(tensor, images_bgr, strict=True):
        reduced = _reduce(image, side)
        own_w, own_h = size_of(reduced)
        planes[:, own_h:] = 0
        planes[:, :own_h, own_w:] = 0
        own = planes[:, :own_h, :own_w]
        # Plane after plane: half the time of one transposed copy.
        own[2], own[1], own[0] = cv2.split(reduced)
    return tensor


def to_pixels(
    side: int | None, images_bgr: Sequence[ImageBgr], empty: Callable[..., Any]
) -> npt.NDArray[np.uint8]:
    """Return (n, H, W, 3) uint8, BGR as they are, for `workers.precision.pixel_graph`; arguments as in `to_input`."""
    width, height = padded_size(size_of(images_bgr[0]), side)
    pixels: npt.NDArray[np.uint8] = empty((len(images_bgr), height, width, 3), np.uint8)
    for frame, image in zip(pixels, images_bgr, strict=True):
        reduced = _reduce(image, side)
        own_w, own_h = size_of(reduced)
        frame[own_h:] = 0
        frame[:own_h, own_w:] = 0
        frame[:own_h, :own_w] = reduced
    return pixels
