"""Small square previews of pictures."""

from __future__ import annotations

import cv2
import numpy as np

from common.arrays import ImageBgr
from common.images import encode_jpeg

# The spec's numbers for thumbnails.
SIDE, QUALITY = 96, 60


def make_thumbnail(image_bgr: ImageBgr, *, side: int = SIDE, quality: int = QUALITY) -> bytes:
    """The middle square of a picture as a small JPEG.

    Shrunk by areas, which leaves no moiré; grown by cubic interpolation.

    Args:
        image_bgr: (H, W, 3) uint8.
        side: of the thumbnail, pixels.
        quality: of the JPEG, 0 to 100.

    Raises:
        ValueError: another shape or dtype.
    """
    length = min(image_bgr.shape[:2])
    top, left = (image_bgr.shape[0] - length) // 2, (image_bgr.shape[1] - length) // 2
    square = image_bgr[top : top + length, left : left + length]
    if square.size and length != side:
        how = cv2.INTER_AREA if side < length else cv2.INTER_CUBIC
        square = np.asarray(cv2.resize(square, (side, side), interpolation=how), np.uint8)
    return encode_jpeg(square, quality=quality)
