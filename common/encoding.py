"""Pictures to file bytes, by the ending of their name, with a record where the format has room for one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from common.arrays import GrayImage, ImageBgr
from common.errors import UsageError
from common.images import encode_jpeg, encode_other, encode_png
from common.metadata import FilePath, embed_record, is_record_format


def encode(
    image: ImageBgr | GrayImage,
    name: FilePath,
    *,
    quality: int = 95,
    compression: int = 1,
    record: Mapping[str, Any] | None = None,
) -> bytes:
    """Encode a picture in the format that a file name asks for; the same pixels give the same bytes.

    Args:
        image: (H, W, 3) uint8 BGR, or (H, W) uint8.
        name: ends in .jpg .jpeg .png .bmp .webp .tif or .tiff, in any case.
        quality: of JPEG and WebP, 0 to 100; over 100 WebP loses nothing.
        compression: of PNG, 1 (fast) to 9 (small). TIFF is packed by deflate.
        record: written into PNG and TIFF; see `common.metadata`.

    Raises:
        UsageError: another ending, or a record for a format that holds none.
        ValueError: another shape or dtype, or what is no record.
        ImageError: `unexpected`, when OpenCV refuses.
    """
    suffix = os.path.splitext(os.fsencode(name))[1].lower()
    if record is not None and not is_record_format(name):
        raise UsageError(f"a record needs a file that ends in .png, .tif or .tiff, got {os.fsdecode(name)!r}")
    if suffix in (b".jpg", b".jpeg"):
        return encode_jpeg(image, quality=quality)
    if suffix == b".png":
        data = encode_png(image, compression=compression)
    elif suffix in (b".bmp", b".webp", b".tif", b".tiff"):
        data = encode_other(image, suffix.decode("ascii"), quality=quality)
    else:
        raise UsageError(
            "a picture's name must end in .jpg .jpeg .png .bmp .webp .tif or .tiff, "
            f"got {os.fsdecode(name)!r}"
        )
    return data if record is None else embed_record(data, record)
