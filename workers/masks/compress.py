"""The traces of JPEG on what was painted: the same blocks, on the same grid, at the same quality as around it."""

from __future__ import annotations

import cv2
import numpy as np

from common.arrays import GrayImage, ImageBgr
from common.jpeg_compression import JpegCompression
from common.orientation import box_as_stored, view_as_stored
from workers.masks.planes import shares

Box = tuple[int, int, int, int]
BLOCK = 8
"""Pixels of a side of the squares that JPEG compresses, ITU-T T.81 A.1.1."""
_SAMPLINGS = {
    (1, 1): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    (2, 1): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    (1, 2): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    (2, 2): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    (4, 1): cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}


def compress(canvas_bgr: ImageBgr, box: Box, cover: GrayImage, compression: JpegCompression) -> None:
    """Compress what covers a part of a picture as the picture was, in place; what is bare stays as it is.

    Args:
        canvas_bgr: (H, W, 3) uint8, the whole upright picture, in the pixels of its file.
        box: x1, y1, x2, y2 of the part, maxima exclusive.
        cover: (y2 - y1, x2 - x1) uint8, by how much each pixel takes part, 0..255.
        compression: of the picture's file.
    """
    box, cover = _seen(box, cover)
    if not cover.size:
        return
    # The grid begins where the file does, which after turning may be any corner.
    stored = view_as_stored(canvas_bgr, compression.orientation)
    x1, y1, x2, y2 = box_as_stored(box, (canvas_bgr.shape[1], canvas_bgr.shape[0]), compression.orientation)
    across, down = (BLOCK * step for step in compression.chroma_step_wh)
    left, top = x1 - x1 % across, y1 - y1 % down
    # Slices end at the picture's border, where an encoder completes blocks by repeating pixels, then as now.
    around = np.ascontiguousarray(stored[top : y2 + -y2 % down, left : x2 + -x2 % across])
    packed = _packed(around, compression)[y1 - top : y2 - top, x1 - left : x2 - left]
    part = stored[y1:y2, x1:x2]
    share = shares(np.ascontiguousarray(view_as_stored(cover, compression.orientation)))
    part[...] = cv2.blendLinear(packed, around[y1 - top : y2 - top, x1 - left : x2 - left], share, 1 - share)


def _seen(box: Box, cover: GrayImage) -> tuple[Box, GrayImage]:
    """Return what is left of a box and its cover without bare margins: they would take time for nothing."""
    x, y, width, height = cv2.boundingRect(cover)
    left, top = box[0] + x, box[1] + y
    return (left, top, left + width, top + height), cover[y : y + height, x : x + width]


def _packed(image_bgr: ImageBgr, compression: JpegCompression) -> ImageBgr:
    """Return the pixels as they come out of a JPEG."""
    parameters = [
        *(cv2.IMWRITE_JPEG_QUALITY, compression.quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _SAMPLINGS[compression.chroma_step_wh]),
    ]
    done, data = cv2.imencode(".jpg", image_bgr, parameters)
    assert done
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
