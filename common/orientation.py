"""Which way up a picture is: reads EXIF orientation and turns pixels upright."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from common.arrays import ImageBgr

Box = tuple[int, int, int, int]

_ORIENTATION_TAG = 0x0112
_SHORT = 3


def exif_orientation(exif: bytes) -> int:
    """Read the orientation out of an EXIF block.

    Our own reader of this one tag: Pillow's `getexif` decodes a whole PNG that has no EXIF, warns on
    broken blocks, and takes the tag from XMP too, which viewers do not.

    Args:
        exif: a TIFF structure, with or without the leading ``Exif\\0\\0``; may be empty or broken.

    Returns:
        1 to 8 as in EXIF; 1 (upright) when there is none or it cannot be read.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, directory)
        for index in range(count):
            entry = struct.unpack_from(order + "HHIH", tiff, directory + 2 + 12 * index)
            if entry[:2] == (_ORIENTATION_TAG, _SHORT):
                return entry[3] if 1 <= entry[3] <= 8 else 1
    except struct.error:
        return 1
    return 1


def turn_upright(pixels: ImageBgr, orientation: int) -> ImageBgr:
    """Apply an EXIF orientation.

    Args:
        pixels: (H, W, …), as stored.
        orientation: 1 to 8; 5 to 8 exchange width and height.

    Returns:
        A contiguous array; the same one for orientation 1.
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def view_as_stored(upright: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Return the view of upright pixels in the order in which their file has them: `turn_upright` undone."""
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    return upright.swapaxes(0, 1) if orientation >= 5 else upright


def box_as_stored(box: Box, size_wh: tuple[int, int], orientation: int) -> Box:
    """Return where a box of the upright picture lies in the pixels as stored.

    Args:
        box: x1, y1, x2, y2, pixels, maxima exclusive.
        size_wh: of the upright picture.
        orientation: 1 to 8.
    """
    x1, y1, x2, y2 = box
    width, height = size_wh
    if orientation in (2, 3, 6, 7):
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 7, 8):
        y1, y2 = height - y2, height - y1
    return (y1, x1, y2, x2) if orientation >= 5 else (x1, y1, x2, y2)
