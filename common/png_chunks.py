"""The chunks of a PNG file: walked, read and replaced without touching what is not ours.

Layout and names: PNG specification, third edition (W3C), §5 and §11.3.3.4 (`iTXt`).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from common.errors import ImageError

SIGNATURE = b"\x89PNG\r\n\x1a\n"

MAX_CHUNKS = 1 << 20
"""Chunks of a file that are walked over; writers cut a gigabyte of pixels into 131,072 at most."""

_FRAME = 12  # length, kind and checksum
_COPIED = 1 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """Where a chunk lies: `start` of its length field, `length` of its content, bytes."""

    kind: bytes
    start: int
    length: int

    @property
    def end(self) -> int:
        """The first byte behind its checksum."""
        return self.start + _FRAME + self.length


def walk(stream: BinaryIO) -> Iterator[Chunk]:
    """Every chunk from IHDR to IEND, by its header alone: contents are passed over, not read.

    Raises:
        ImageError: `truncated` (a chunk reaches behind the end of the file, or IEND is missing),
            `unreadable` (no PNG, no IHDR first, no chunk where one should be, too many of them).
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if stream.read(len(SIGNATURE)) != SIGNATURE:
        raise ImageError("unreadable", "a PNG signature is expected, got other bytes")
    start = len(SIGNATURE)
    for number in range(MAX_CHUNKS):
        stream.seek(start)
        header = stream.read(8)
        if len(header) < 8:
            raise ImageError("truncated", f"a PNG must end with IEND, got {size} bytes without it")
        length, kind = struct.unpack(">I4s", header)
        chunk = Chunk(kind, start, length)
        if not kind.isalpha() or (number == 0) != (kind == b"IHDR") or (number == 0 and length != 13):
            raise ImageError("unreadable", f"a PNG chunk is expected at byte {start}, got {header.hex(' ')}")
        if chunk.end > size:
            raise ImageError(
                "truncated", f"chunk at byte {start} must end within {size} bytes, got {chunk.end}"
            )
        yield chunk
        if kind == b"IEND":
            return
        start = chunk.end
    raise ImageError("unreadable", f"a PNG must have at most {MAX_CHUNKS} chunks, got more")


def content(stream: BinaryIO, chunk: Chunk, limit: int) -> bytes:
    """Read the content of a chunk.

    Raises:
        ImageError: `too-large` (over `limit` bytes), `unreadable` (its checksum is wrong).
    """
    if chunk.length > limit:
        raise ImageError("too-large", f"{_name(chunk)} must have at most {limit} bytes, got {chunk.length}")
    stream.seek(chunk.start + 8)
    data = stream.read(chunk.length)
    checksum = int.from_bytes(stream.read(4), "big")
    if zlib.crc32(data, zlib.crc32(chunk.kind)) != checksum:
        raise ImageError("unreadable", f"{_name(chunk)} is damaged: its checksum is wrong")
    return data


def has_keyword(stream: BinaryIO, chunk: Chunk, keyword: bytes) -> bool:
    """The chunk is an `iTXt` of this keyword; of its content only so many bytes are read."""
    if chunk.kind != b"iTXt" or chunk.length <= len(keyword):
        return False
    stream.seek(chunk.start + 8)
    return stream.read(len(keyword) + 1) == keyword + b"\0"


def make_text(keyword: bytes, text: str) -> bytes:
    """A whole `iTXt` chunk: UTF-8, not compressed, without language."""
    data = keyword + b"\0\0\0\0\0" + text.encode("utf-8")
    return struct.pack(">I4s", len(data), b"iTXt") + data + zlib.crc32(data, zlib.crc32(b"iTXt")).to_bytes(4)


def read_text(stream: BinaryIO, chunk: Chunk, limit: int) -> str:
    """The text of an `iTXt` chunk; one that another program has compressed is read too.

    Raises:
        ImageError: `too-large` (over `limit` bytes, compressed or not), `unreadable`.
    """
    data = content(stream, chunk, limit)
    _, _, rest = data.partition(b"\0")
    parts = rest[2:].split(b"\0", 2)
    if len(rest) < 2 or len(parts) != 3:
        raise ImageError("unreadable", f"{_name(chunk)} is damaged: its fields are incomplete")
    text = parts[2]
    try:
        if rest[0] == 1:
            unpacker = zlib.decompressobj()
            text = unpacker.decompress(text, limit)
            if unpacker.unconsumed_tail:
                raise ImageError("too-large", f"{_name(chunk)} must have at most {limit} bytes unpacked")
        return text.decode("utf-8")
    except (zlib.error, UnicodeDecodeError) as exc:
        raise ImageError("unreadable", f"{_name(chunk)} is damaged: {exc}") from exc


def with_text(stream: BinaryIO, keyword: bytes, text: str) -> Iterator[bytes]:
    """The file again, piece by piece, with this text before its first IDAT and none else of the keyword.

    All other bytes stay as they are, those behind IEND too.

    Raises:
        ImageError: as `walk`; `unreadable` where there is no IDAT.
    """
    chunks = list(walk(stream))
    first = next((chunk for chunk in chunks if chunk.kind == b"IDAT"), None)
    if first is None:
        raise ImageError("unreadable", "a PNG must have an IDAT chunk, got none")
    position = 0
    for chunk in chunks:
        if chunk is first:
            yield from copied(stream, position, chunk.start)
            yield make_text(keyword, text)
            position = chunk.start
        elif has_keyword(stream, chunk, keyword):
            yield from copied(stream, position, chunk.start)
            position = chunk.end
    yield from copied(stream, position, stream.seek(0, os.SEEK_END))


def copied(stream: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """The bytes of a stream from `start` up to `end`, in pieces of bounded size."""
    while start < end:
        stream.seek(start)
        piece = stream.read(min(_COPIED, end - start))
        if not piece:
            raise ImageError("changed", "file must keep its size while it is read, got a shorter one")
        yield piece
        start += len(piece)


def _name(chunk: Chunk) -> str:
    return f"PNG chunk {chunk.kind.decode('ascii')} at byte {chunk.start}"
