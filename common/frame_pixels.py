"""The pixels of a video frame: any format, depth and rotation to upright BGR."""

from __future__ import annotations

import struct
from typing import cast

import av
import numpy as np
from av.buffer import Buffer

from common.arrays import ImageBgr
from common.orientation import turn_upright
from common.pixels import to_bgr8


def to_bgr(frame: av.VideoFrame) -> ImageBgr:
    """The pixels of a frame: (H, W, 3) uint8, upright, alpha flattened on white.

    The conversion is that of `VideoFrame.to_ndarray(format="bgr24")`, in one thread.
    """
    if any(component.is_alpha for component in frame.format.components):
        bgra = frame.to_ndarray(format="bgra", threads=1)
        pixels = to_bgr8(bgra, full=255)
    else:
        pixels = np.asarray(frame.to_ndarray(format="bgr24", threads=1), np.uint8)
    return turn_upright(pixels, _orientation(frame))


def _orientation(frame: av.VideoFrame) -> int:
    """The EXIF orientation that does what the display matrix does; 1 for angles between the quarters.

    The matrix is 3 x 3 in 16.16 fixed point, a b u c d v x y w: x' = ax + cy, y' = bx + dy (libavutil,
    display.h).
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1
    a, b, _, c, d = struct.unpack("=5i", bytes(cast(Buffer, data))[:20])
    signs = tuple((value > 0) - (value < 0) if abs(value) > 1 << 8 else 0 for value in (a, b, c, d))
    quarters: dict[tuple[int, ...], int] = {
        (1, 0, 0, 1): 1,
        (-1, 0, 0, 1): 2,
        (-1, 0, 0, -1): 3,
        (1, 0, 0, -1): 4,
        (0, 1, 1, 0): 5,
        (0, 1, -1, 0): 6,
        (0, -1, -1, 0): 7,
        (0, -1, 1, 0): 8,
    }
    return quarters.get(signs, 1)
