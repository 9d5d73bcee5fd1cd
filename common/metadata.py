"""Records inside picture files: one JSON object in a PNG or TIFF, read and changed without touching a pixel.

A PNG holds it in an uncompressed `iTXt` chunk with the keyword `maskmill` before the first IDAT (UTF-8), a
TIFF in `ImageDescription` (tag 270, ASCII). The object begins with `"maskmill": 1`, the version of its
schema; nothing but JSON is understood. Other formats hold no record: writing one into them is an error.

Files are not trusted: contents that nobody asked for are passed over, never unpacked.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, NoReturn, TypeAlias

from common import png_chunks, tiff_tags
from common.atomic_writer import write_atomically
from common.errors import ImageError, MaskmillError
from common.files import MAX_SOURCE_BYTES, opened_source
from common.image_header import probe
from common.orientation import exif_orientation

KEYWORD = "maskmill"
"""Keyword of the PNG chunk, and the key under which a record has the version of its schema."""

SCHEMA = 1

MAX_RECORD_BYTES = 1 << 20
"""Largest record that is read or written; one of a face has about 5,000 bytes."""

FilePath: TypeAlias = str | bytes | os.PathLike[str]
Record: TypeAlias = dict[str, Any]

# With room for the keyword and the other fields of a chunk.
_MAX_CONTENT_BYTES = MAX_RECORD_BYTES + 1024
_MAX_EXIF_BYTES = 1 << 16
_KEYWORD_BYTES = KEYWORD.encode("latin-1")
_OUR_BEGINNING = re.compile(rb'\s{0,8}\{\s{0,8}"maskmill"\s{0,8}:')


@dataclass(frozen=True, slots=True)
class PictureMetadata:
    """What a picture file says of itself.

    Attributes:
        format: `JPEG`, `MPO`, `PNG`, `BMP`, `WEBP` or `TIFF`, by content.
        width: pixels of the upright picture.
        height: pixels of the upright picture.
        record: the record without the version of its schema; None where there is none.
    """

    format: str
    width: int
    height: int
    record: Record | None


def read_metadata(path: FilePath) -> PictureMetadata:
    """Read format, size and record of a picture file; its pixels are not decoded.

    Raises:
        ImageError: as `common.files.read_source`; `unreadable` (no picture, or a damaged record),
            `truncated`, `too-large` (a record over `MAX_RECORD_BYTES`).
        TransientError: this process has too many files open.
    """
    with opened_source(os.fsencode(path)) as stream:
        return _metadata_of(stream)


def read_metadata_batch(
    paths: Iterable[FilePath], *, threads: int = 8
) -> Iterator[tuple[int, PictureMetadata | MaskmillError]]:
    """Read the metadata of many files at once; yields (position in `paths`, answer) as each is ready.

    A file that cannot be read gives its error as the answer, and stops no other. Paths are taken from the
    iterable as they are needed: it may be of any length.
    """
    waiting: dict[Future[PictureMetadata], int] = {}
    numbered = iter(enumerate(paths))
    with ThreadPoolExecutor(threads, thread_name_prefix="maskmill-metadata") as pool:
        try:
            while True:
                for number, path in islice(numbered, 4 * threads - len(waiting)):
                    waiting[pool.submit(read_metadata, path)] = number
                if not waiting:
                    return
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    yield waiting.pop(future), _answer_of(future)
        finally:
            for future in waiting:
                future.cancel()


def extract_metadata(data: bytes) -> PictureMetadata:
    """Read format, size and record out of the bytes of a picture file.

    Raises:
        ImageError: as `read_metadata`.
    """
    if not data:
        raise ImageError("empty", "image must have content, got a file of 0 bytes")
    return _metadata_of(io.BytesIO(data))


def embed_record(data: bytes, record: Mapping[str, Any]) -> bytes:
    """The bytes of a PNG or TIFF file with this record in it, in place of any other.

    Raises:
        ValueError: the record is no JSON or over `MAX_RECORD_BYTES`.
        ImageError: `unreadable`: another format, or a description of someone else's.
    """
    return b"".join(_with_record(io.BytesIO(data), record))


def update_record(path: FilePath, change: Callable[[Record | None], Mapping[str, Any]]) -> Record:
    """Change the record of a PNG or TIFF file; the file is replaced at once, all else in it stays.

    A link stays a link: the file that it leads to is replaced, with the permissions that it has.

    Args:
        change: gets the record (None where there is none), returns what shall stand there.

    Returns:
        The new record.

    Raises:
        ValueError: the new record is no JSON or over `MAX_RECORD_BYTES`.
        ImageError: as `read_metadata`, and `unreadable` for another format; `forbidden`, `io-error`.
        TransientError: the disk is full or away.
    """
    real = os.path.realpath(os.fsencode(path))
    with opened_source(real) as stream:
        new = dict(change(_metadata_of(stream).record))
        mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
        write_atomically(real, _with_record(stream, new), mode=mode)
    return new


def is_record_format(name: FilePath) -> bool:
    """A file of this name can hold a record: `.png`, `.tif` or `.tiff`, in any case."""
    return os.fsencode(name).lower().endswith((b".png", b".tif", b".tiff"))


def _metadata_of(stream: BinaryIO) -> PictureMetadata:
    stream.seek(0)
    head = stream.read(len(png_chunks.SIGNATURE))
    if head == png_chunks.SIGNATURE:
        return _of_png(stream)
    if head[:4] in tiff_tags.SIGNATURES:
        return _of_tiff(stream)
    size = stream.seek(0, os.SEEK_END)
    if size > MAX_SOURCE_BYTES:
        raise ImageError("too-large", f"file must have at most {MAX_SOURCE_BYTES} bytes, got {size}")
    stream.seek(0)
    header = probe(stream.read())
    return PictureMetadata(header.format, header.width, header.height, None)


def _of_png(stream: BinaryIO) -> PictureMetadata:
    width = height = 0
    orientation, record = 1, None
    for chunk in png_chunks.walk(stream):
        if chunk.kind == b"IHDR":
            data = png_chunks.content(stream, chunk, chunk.length)
            width, height = int.from_bytes(data[:4], "big"), int.from_bytes(data[4:8], "big")
        elif chunk.kind == b"eXIf" and chunk.length <= _MAX_EXIF_BYTES:
            orientation = exif_orientation(png_chunks.content(stream, chunk, _MAX_EXIF_BYTES))
        elif record is None and png_chunks.has_keyword(stream, chunk, _KEYWORD_BYTES):
            record = _parse(png_chunks.read_text(stream, chunk, _MAX_CONTENT_BYTES))
    return PictureMetadata("PNG", *_upright(width, height, orientation), record)


def _of_tiff(stream: BinaryIO) -> PictureMetadata:
    directory = tiff_tags.read_directory(stream)
    size = (directory.integer(tiff_tags.IMAGE_WIDTH), directory.integer(tiff_tags.IMAGE_LENGTH))
    orientation = directory.integer(tiff_tags.ORIENTATION, default=1)
    text = tiff_tags.read_description(stream, directory, _MAX_CONTENT_BYTES)
    record = _parse(text.decode("ascii", "replace")) if _is_ours(text) else None
    return PictureMetadata("TIFF", *_upright(*size, orientation), record)


def _upright(width: int, height: int, orientation: int) -> tuple[int, int]:
    return (height, width) if 5 <= orientation <= 8 else (width, height)


def _is_ours(description: bytes) -> bool:
    """A TIFF's one description may be anyone's; ours begins with the version of the schema."""
    return _OUR_BEGINNING.match(description) is not None


def _with_record(stream: BinaryIO, record: Mapping[str, Any]) -> Iterator[bytes]:
    stream.seek(0)
    head = stream.read(len(png_chunks.SIGNATURE))
    if head == png_chunks.SIGNATURE:
        return png_chunks.with_text(stream, _KEYWORD_BYTES, _as_text(record, is_ascii=False))
    if head[:4] not in tiff_tags.SIGNATURES:
        raise ImageError("unreadable", "a record needs a PNG or TIFF file, got another format")
    text = tiff_tags.read_description(stream, tiff_tags.read_directory(stream), 64)
    if text and not _is_ours(text):
        raise ImageError(
            "unreadable", f"the TIFF's description must be free for a record, got {text!r}: left alone"
        )
    return tiff_tags.with_description(stream, _as_text(record, is_ascii=True).encode("ascii"))


def _as_text(record: Mapping[str, Any], *, is_ascii: bool) -> str:
    """A record as JSON: the same record gives the same text.

    Raises:
        ValueError: a value is none of JSON's, a number is not finite, a text is not Unicode, or it is too long.
    """
    try:
        text = json.dumps(
            {KEYWORD: SCHEMA, **record}, ensure_ascii=is_ascii, allow_nan=False, separators=(",", ":")
        )
        length = len(text.encode("utf-8"))
    except (TypeError, RecursionError) as exc:
        raise ValueError(f"a record must be JSON, got {exc}") from exc
    if length > MAX_RECORD_BYTES or record.get(KEYWORD, SCHEMA) != SCHEMA:
        raise ValueError(
            f"a record must have at most {MAX_RECORD_BYTES} bytes and no key {KEYWORD!r}, got {length} bytes"
        )
    return text


def _parse(text: str) -> Record:
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise ImageError("unreadable", f"the record in the file must be JSON, got {str(exc)[:200]}") from exc
    version = found.pop(KEYWORD, None) if isinstance(found, dict) else None
    if version != SCHEMA or isinstance(version, bool):
        raise ImageError(
            "unreadable", f"the record in the file must be of schema {SCHEMA}, got {str(version)[:40]}"
        )
    return dict(found)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _answer_of(future: Future[PictureMetadata]) -> PictureMetadata | MaskmillError:
    try:
        return future.result()
    except MaskmillError as exc:
        return exc
