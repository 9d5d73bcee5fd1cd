"""A folder of face crops as input: each file matched to the face that it was cut from.

First by the record inside the file, else, where a database is given, by its pixels (PNG, TIFF and other
formats without loss) or by the bytes of the file (JPEG). Whatever is left is skipped as `unknown_face`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Engine

from common.background_loader import BackgroundLoader
from common.crop_record import CropRecord, crop_record_of
from common.errors import ImageError, TransientError, UsageError
from common.escaping import escape
from common.ledger.known_crops import KnownFace, faces_of_crops, faces_of_records
from common.metadata import FilePath, PictureMetadata, read_metadata_batch
from common.stems import is_image_name

UNKNOWN_FACE = "unknown_face"

_PAGE = 256


@dataclass(frozen=True, slots=True)
class FolderFace:
    """One crop of a face that is known.

    Attributes:
        path: absolute.
        relative: path below the folder.
        width: pixels.
        height: pixels.
        face_index: of the face in its image.
        variant: the crop's; None for the unmasked original.
        crop_style: one of `common.styles.CROP_STYLES`.
        record: what the file says of itself; None when it was matched otherwise.
        face_id: row of the face; None only when no database was given.
    """

    path: bytes
    relative: bytes
    width: int
    height: int
    face_index: int
    variant: int | None
    crop_style: str
    record: CropRecord | None
    face_id: int | None


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A picture of the folder that is left out; `message` says why in words."""

    path: bytes
    relative: bytes
    reason: str
    message: str


def require_folder(folder: FilePath, flag: str = "--input") -> bytes:
    """The real path of a folder.

    Raises:
        UsageError: it is missing, a file, or may not be read.
    """
    given = os.fsencode(folder)
    try:
        mode = os.stat(given).st_mode
    except (OSError, ValueError) as exc:
        raise UsageError(f"{flag} {escape(given)}: there is no such folder") from exc
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{flag} {escape(given)}: a folder of face crops is expected, got a file")
    if not os.access(given, os.R_OK | os.X_OK):
        raise UsageError(f"{flag} {escape(given)}: this folder may not be read")
    return os.path.realpath(given)


def read_faces_folder(
    folder: FilePath, engine: Engine | None = None, *, flag: str = "--input"
) -> Iterator[FolderFace | SkippedFile]:
    """Every picture below a folder, in the order of its path: a face that is known, or skipped.

    Hidden files, linked folders and links that leave the folder are left out, as everywhere. Files are looked
    at in pages: of the others only the names of one folder are held.

    Args:
        folder: searched in depth.
        engine: the database that has the faces' rows: every `FolderFace` then has its `face_id`. None: the
            records in the files are all there is.
        flag: of the command line, for the sentence of an error.

    Raises:
        UsageError: a file where a folder is needed, or none; at the call, not at the first item.
        TransientError: too many files are open.
    """
    root = require_folder(folder, flag)
    return _read(root, engine)


def _read(root: bytes, engine: Engine | None) -> Iterator[FolderFace | SkippedFile]:
    names = _picture_names(root, b"")
    while page := list(islice(names, _PAGE)):
        yield from _Page(root, page).matched(engine)


def _picture_names(root: bytes, folder: bytes) -> Iterator[bytes]:
    """Paths of pictures below a folder, relative to the root, sorted as bytes with folders in between."""
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            found = sorted(
                entry.name + (b"/" if entry.is_dir(follow_symlinks=False) else b"")
                for entry in entries
                if not entry.is_symlink() or _leads_inside(entry.path, root)
            )
    except OSError:
        return
    for name in found:
        path = os.path.join(folder, name)
        if name.startswith(b"."):
            continue
        if name.endswith(b"/"):
            yield from _picture_names(root, path[:-1])
        elif is_image_name(name):
            yield path


def _leads_inside(link: bytes, root: bytes) -> bool:
    return os.path.isfile(link) and os.path.realpath(link).startswith(root.rstrip(b"/") + b"/")


class _Page:
    """Some files of the folder, looked at together."""

    def __init__(self, root: bytes, names: Sequence[bytes]) -> None:
        self._names = names
        self._paths = [os.path.join(root, name) for name in names]
        self._metadata: dict[int, PictureMetadata] = {}
        self._records: dict[int, CropRecord] = {}
        self._why: dict[int, str] = {}
        for number, answer in read_metadata_batch(self._paths):
            if isinstance(answer, TransientError):
                raise answer
            try:
                if isinstance(answer, Exception):
                    raise answer
                self._metadata[number] = answer
                record = crop_record_of(answer.record)
                if record is not None:
                    self._records[number] = record
            except ImageError as exc:
                self._why[number] = f"{exc.code}: {exc}"

    def matched(self, engine: Engine | None) -> Iterator[FolderFace | SkippedFile]:
        """The files in their order, each with its face or the reason why it has none."""
        known: dict[int, KnownFace] = {}
        if engine is not None:
            known = self._by_record(engine)
            known.update(self._by_pixels(engine, [n for n in self._metadata if n not in known]))
        for number, name in enumerate(self._names):
            record, face = self._records.get(number), known.get(number)
            if face is not None:
                yield self._face(number, face.face_index, face.variant, face.crop_style, face.face_id)
            elif engine is None and record is not None:
                yield self._face(number, record.face_index, record.variant, record.crop_style, None)
            else:
                why = self._why.get(number) or (
                    "its record names a face that has no row"
                    if record is not None
                    else "it has no record and its pixels are those of no crop"
                )
                yield SkippedFile(self._paths[number], name, UNKNOWN_FACE, why)

    def _face(
        self, number: int, face_index: int, variant: int | None, crop_style: str, face_id: int | None
    ) -> FolderFace:
        found = self._metadata[number]
        return FolderFace(
            self._paths[number],
            self._names[number],
            found.width,
            found.height,
            face_index,
            variant,
            crop_style,
            self._records.get(number),
            face_id,
        )

    def _by_record(self, engine: Engine) -> dict[int, KnownFace]:
        numbers = list(self._records)
        asked = [(self._paths[number], self._records[number]) for number in numbers]
        found = faces_of_records(engine, asked) if asked else []
        return {number: face for number, face in zip(numbers, found, strict=True) if face is not None}

    def _by_pixels(self, engine: Engine, numbers: Sequence[int]) -> dict[int, KnownFace]:
        """Decode what is left and ask for its hashes."""
        hashes: dict[int, tuple[str, ...]] = {}
        with BackgroundLoader([self._paths[number] for number in numbers], _hashes_of) as loaded:
            for number, answer in zip(numbers, loaded, strict=True):
                if isinstance(answer, str):
                    self._why[number] = answer
                else:
                    hashes[number] = answer
        if not hashes:
            return {}
        found = faces_of_crops(
            engine,
            pixel_hashes=[pixel_hash for pixel_hash, _ in hashes.values()],
            sha256s=[sha256 for _, sha256 in hashes.values()],
        )
        answers = {number: found.get(pair[1]) or found.get(pair[0]) for number, pair in hashes.items()}
        return {number: face for number, face in answers.items() if face is not None}


def _hashes_of(path: bytes) -> tuple[str, str] | str:
    """(pixel hash, SHA-256 of the file), or in words why it cannot be read."""
    # Imported here: the command line starts without OpenCV.
    from common.reading import read_picture

    try:
        picture = read_picture(path, with_hash=True)
    except ImageError as exc:
        return f"{exc.code}: {exc}"
    return str(picture.pixel_hash), str(picture.file_sha256)
