"""The first directory of a TIFF file: its tags read, its description replaced, all else left where it lies.

Layout: TIFF revision 6.0 (Adobe, 1992), section 2, and BigTIFF. tifffile and Pillow can write a description
while they write pixels, and tifffile can change one that is there; adding one to a finished file is ours.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from common.errors import ImageError
from common.png_chunks import copied

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

IMAGE_WIDTH, IMAGE_LENGTH, IMAGE_DESCRIPTION, ORIENTATION = 256, 257, 270, 274

_MAX_ENTRIES = 65535
_ASCII = 2
_BYTES = (1, _ASCII, 7)  # BYTE, ASCII, UNDEFINED: types whose values have one byte
# Formats of a value by its type: BYTE, SHORT, LONG and LONG8.
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How numbers are written: byte order, and the widths of classic TIFF or BigTIFF."""

    order: str
    is_big: bool

    @property
    def offset(self) -> str:
        """Format of an offset, and of a count of values."""
        return self.order + ("Q" if self.is_big else "I")

    @property
    def entry(self) -> str:
        """Format of an entry: tag, type, count, value or its offset."""
        return self.order + ("HHQ8s" if self.is_big else "HHI4s")

    @property
    def entries(self) -> str:
        """Format of the number of entries."""
        return self.order + ("Q" if self.is_big else "H")

    @property
    def pointer(self) -> int:
        """Where the offset of the first directory stands."""
        return 8 if self.is_big else 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag; `value` is the field as it stands: the value itself, or its offset."""

    tag: int
    type: int
    count: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Directory:
    """The first directory: `start` and `end` are bytes of the file, `following` the offset of the next one."""

    layout: Layout
    start: int
    end: int
    entries: tuple[Entry, ...]
    following: bytes

    def entry(self, tag: int) -> Entry | None:
        """The entry of a tag."""
        return next((entry for entry in self.entries if entry.tag == tag), None)

    def integer(self, tag: int, default: int | None = None) -> int:
        """The value of a tag that has one integer.

        Raises:
            ImageError: `unreadable`: it is missing and has no default, or is no integer.
        """
        entry = self.entry(tag)
        if entry is None and default is not None:
            return default
        if entry is None or entry.type not in _INTEGERS or entry.count != 1:
            raise ImageError("unreadable", f"TIFF tag {tag} must be one integer, got {entry}")
        (value,) = struct.unpack_from(self.layout.order + _INTEGERS[entry.type], entry.value)
        return int(value)

    def place(self, entry: Entry) -> int | None:
        """Where the value of a text entry lies; None when it stands in the entry itself."""
        if entry.count <= len(entry.value):
            return None
        return int(struct.unpack(self.layout.offset, entry.value)[0])


def read_directory(stream: BinaryIO) -> Directory:
    """Read the first directory.

    Raises:
        ImageError: `unreadable` or `truncated`.
    """
    stream.seek(0)
    head = stream.read(16)
    if head[:4] not in SIGNATURES:
        raise ImageError("unreadable", "a TIFF signature is expected, got other bytes")
    layout = Layout("<" if head[:2] == b"II" else ">", is_big=b"+" in head[:4])
    try:
        (start,) = struct.unpack_from(layout.offset, head, layout.pointer)
        stream.seek(start)
        (count,) = struct.unpack(layout.entries, stream.read(struct.calcsize(layout.entries)))
        if not 0 < count <= _MAX_ENTRIES:
            raise ImageError(
                "unreadable", f"a TIFF directory must have 1 to {_MAX_ENTRIES} tags, got {count}"
            )
        width = struct.calcsize(layout.entry)
        block = stream.read(count * width)
        entries = tuple(Entry(*fields) for fields in struct.iter_unpack(layout.entry, block))
        following = stream.read(struct.calcsize(layout.offset))
        if len(entries) != count or len(following) != struct.calcsize(layout.offset):
            raise ImageError("truncated", f"a TIFF directory of {count} tags must be complete, got less")
    except (struct.error, OSError, OverflowError) as exc:
        raise ImageError(
            "truncated", f"a TIFF must be complete, got one that ends too early ({exc})"
        ) from exc
    return Directory(layout, start, stream.tell(), entries, following)


def read_description(stream: BinaryIO, directory: Directory, limit: int) -> bytes:
    """The first `limit` bytes of ImageDescription without the closing NUL; empty where there is none.

    Of a description that is no text its field is given as it stands.

    Raises:
        ImageError: `truncated`.
    """
    entry = directory.entry(IMAGE_DESCRIPTION)
    if entry is None:
        return b""
    place = directory.place(entry)
    if entry.type not in _BYTES or place is None:
        return entry.value[: entry.count].rstrip(b"\0")
    stream.seek(place)
    data = stream.read(min(entry.count, limit))
    if len(data) != min(entry.count, limit):
        raise ImageError("truncated", f"the description at byte {place} must be complete, got less")
    return data.rstrip(b"\0")


def with_description(stream: BinaryIO, text: bytes) -> Iterator[bytes]:
    """The file again, piece by piece, with this ImageDescription in its first directory.

    Text and directory are written behind everything else and the header points at them, so pixels, further
    pages and foreign tags stay where they are. Those of an earlier call, when they end the file, are replaced.

    Raises:
        ImageError: as `read_directory`; `too-large` when a classic TIFF would pass 4 GiB.
    """
    directory = read_directory(stream)
    layout = directory.layout
    end = _end_of_others(stream, directory)
    padding = b"\0" * (end % 2)  # values and directories begin at even bytes
    place = end + len(padding)
    text += b"\0"
    text_block = text + b"\0" * (len(text) % 2)
    field = struct.pack(layout.offset, place)
    if len(text) <= len(field):
        field, text_block = text.ljust(len(field), b"\0"), b""
    start = place + len(text_block)
    others = [entry for entry in directory.entries if entry.tag != IMAGE_DESCRIPTION]
    entries = sorted(
        [*others, Entry(IMAGE_DESCRIPTION, _ASCII, len(text), field)], key=lambda entry: entry.tag
    )
    block = struct.pack(layout.entries, len(entries)) + b"".join(
        struct.pack(layout.entry, entry.tag, entry.type, entry.count, entry.value) for entry in entries
    )
    if not layout.is_big and start + len(block) + 4 >= 1 << 32:
        raise ImageError("too-large", "a TIFF with a description must stay below 4 GiB, got a larger one")
    yield from copied(stream, 0, layout.pointer)
    yield struct.pack(layout.offset, start)
    yield from copied(stream, layout.pointer + struct.calcsize(layout.offset), end)
    yield padding + text_block + block + directory.following


def _end_of_others(stream: BinaryIO, directory: Directory) -> int:
    """Where the file ends, less a description and directory that lie at its end one behind the other."""
    size = stream.seek(0, os.SEEK_END)
    entry = directory.entry(IMAGE_DESCRIPTION)
    place = None if entry is None or entry.type != _ASCII else directory.place(entry)
    if entry is None or place is None or directory.end != size:
        return size
    is_ours = place % 2 == 0 and place + entry.count + entry.count % 2 == directory.start
    return place if is_ours else size
