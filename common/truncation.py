"""Tells a picture file that was cut short from one that is damaged in another way."""

from __future__ import annotations

import struct

_JPEG_START_OF_SCAN = 0xDA
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def is_cut(data: bytes) -> bool:
    """Tell whether the data ends before the picture it announces.

    Reads only the skeleton of the file (JPEG markers, PNG chunks, declared lengths), by its content and
    not its name. False for a complete file, for one damaged without being short, and for unknown formats.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg_is_cut(data)
    if data.startswith(_PNG_SIGNATURE):
        return _png_is_cut(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _declared(data, "<I", 4) + 8 > len(data)
    if data.startswith(b"BM"):
        return len(data) < 54 or _declared(data, "<I", 2) > len(data)
    if data.startswith((b"II*\0", b"MM\0*")):
        return _declared(data, "<I" if data.startswith(b"II") else ">I", 4) + 2 > len(data)
    return False


def _declared(data: bytes, layout: str, offset: int) -> int:
    """Read one number of the header; the largest one when even that is missing."""
    try:
        return int(struct.unpack_from(layout, data, offset)[0])
    except struct.error:
        return 2**32


def _jpeg_is_cut(data: bytes) -> bool:
    """A JPEG is complete when an end marker follows its (first) scan; an EXIF preview's does not count."""
    offset = 2
    while offset + 4 <= len(data):
        if data[offset] != 0xFF:
            return False
        marker = data[offset + 1]
        if marker == 0xFF:  # padding
            offset += 1
        elif marker == _JPEG_START_OF_SCAN:
            # From the end: in a complete file the marker is found at once.
            return data.rfind(b"\xff\xd9", offset) < 0
        else:
            offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
    return True


def _png_is_cut(data: bytes) -> bool:
    """A PNG is complete when its chunks lead to IEND."""
    offset = len(_PNG_SIGNATURE)
    while offset + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind == b"IEND":
            return False
        if not kind.isalpha():
            return False
        offset += 12 + length
    return True
