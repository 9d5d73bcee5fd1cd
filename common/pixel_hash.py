"""The hash of a picture's pixels: what stays when a file is packed anew."""

from __future__ import annotations

import hashlib

from common.arrays import ImageBgr


def hash_pixels(image_bgr: ImageBgr) -> str:
    """SHA-1 of the shape and the pixels, 40 hexadecimal digits.

    The shape counts: 2 x 8 and 4 x 4 grey pixels may have the same bytes.

    Args:
        image_bgr: (H, W, 3) uint8, or any array of uint8.
    """
    shape = "x".join(str(length) for length in image_bgr.shape)
    return hashlib.sha1(shape.encode("ascii") + b":" + image_bgr.tobytes(), usedforsecurity=False).hexdigest()
