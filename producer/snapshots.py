"""Snapshots of maps: JSON files that are written before maps are overwritten, and read back when they are wanted again."""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from common.errors import ImageError, UsageError
from common.escaping import escape
from common.files import write_atomically
from common.ledger.jobs import RecordedJob
from common.ledger.maps import FaceMap, faces_by_place, replace_maps
from common.ledger.reports import image_pages
from common.settings import Settings
from producer.export import Exporter

_VERSION = 1
_TOGETHER = 500
_RECORD = ("image_path", "face_index", "masker", "side", "matrix", "map")


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back from a snapshot.

    Attributes:
        masker: whose maps they are.
        maps: that are now as in the snapshot.
        unknown: maps of images or faces that the job does not have any more.
    """

    masker: str
    maps: int
    unknown: int


def write_snapshot(engine: Engine, job: RecordedJob, masker: str, settings: Settings) -> bytes:
    """Write the maps that a masker has made so far into the output, as JSON; returns the file's path.

    Raises:
        UsageError: the output is not on this machine or cannot be written.
    """
    now = time.gmtime()
    name = f"segmentations_{masker}_{time.strftime('%Y%m%dT%H%M%SZ', now)}.json"
    path = _free(os.path.join(settings.local_path(job.output), os.fsencode(name)))
    about = {
        "version": _VERSION,
        "job": job.name,
        "masker": masker,
        "taken_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
    }
    try:
        write_atomically(path, _snapshot(Exporter(engine, job), masker, about))
    except ImageError as exc:
        raise UsageError(
            f"the maps that would be overwritten cannot be saved to {escape(path)} ({exc}); "
            "run it where the job's output can be written"
        ) from exc
    return path


def _free(path: bytes) -> bytes:
    """The path, or one with a number where two snapshots fall into one second."""
    stem = path.removesuffix(b".json")
    others = (b"%s_%d.json" % (stem, number) for number in range(2, 1000))
    return next((one for one in (path, *others) if not os.path.exists(one)), path)


def _snapshot(exporter: Exporter, masker: str, about: dict[str, object]) -> Iterator[bytes]:
    yield json.dumps(about)[:-1].encode() + b', "segmentations": ['
    separator = b"\n"
    for record in exporter.segmentation_records(masker):
        row = {**record, "matrix": json.loads(str(record["matrix"]))}
        yield separator + json.dumps(row, ensure_ascii=False).encode()
        separator = b",\n"
    yield b"\n]}\n"


def restore_snapshot(engine: Engine, job: RecordedJob, path: str) -> Restored:
    """Give faces the maps that a snapshot of their job has; other maps stay.

    Everything is read and checked before anything is changed.

    Raises:
        UsageError: the file cannot be read, is no snapshot, or is one of another job.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            given = json.load(stream)
    except OSError as exc:
        raise UsageError(f"--restore {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise _no_snapshot(path, "not JSON") from exc
    masker, records = _checked(given, job, path)
    exporter = Exporter(engine, job)
    image_of = {exporter.image_path(image): image.id for page in image_pages(engine, job) for image in page}
    restored = 0
    for some in _batches(records):
        faces = faces_by_place(engine, {image_of[one[0]] for one in some if one[0] in image_of})
        known = [
            FaceMap(face, side, packed, matrix)
            for image_path, face_index, side, packed, matrix in some
            if (face := faces.get((image_of.get(image_path, 0), face_index))) is not None
        ]
        replace_maps(engine, masker, known)
        restored += len(known)
    return Restored(masker, restored, len(records) - restored)


_Record = tuple[str, int, int, bytes, list[list[float]]]


def _batches(records: Sequence[_Record]) -> Iterator[Sequence[_Record]]:
    return (records[start : start + _TOGETHER] for start in range(0, len(records), _TOGETHER))


def _checked(given: Any, job: RecordedJob, path: str) -> tuple[str, list[_Record]]:
    """The masker of a snapshot, and its records: image path, face index, side, packed map, matrix."""
    if not isinstance(given, dict) or given.get("version") != _VERSION:
        raise _no_snapshot(path, f"not one of version {_VERSION}")
    if given.get("job") != job.name:
        raise UsageError(f"--restore {path} is a snapshot of job {given.get('job')}, not of job {job.name}")
    masker, rows = given.get("masker"), given.get("segmentations")
    if not isinstance(masker, str) or not isinstance(rows, list):
        raise _no_snapshot(path, "it names no masker or has no list of maps")
    records: list[_Record] = []
    for number, row in enumerate(rows, 1):
        try:
            image_path, face_index, of, side, matrix, packed = (row[name] for name in _RECORD)
            content = base64.b64decode(packed, validate=True)
            is_sound = (
                isinstance(image_path, str)
                and of == masker
                and len(zlib.decompress(content)) == int(side) ** 2
                and [len(line) for line in matrix] == [3, 3]
            )
            record = (
                image_path,
                int(face_index),
                int(side),
                content,
                [[float(x) for x in line] for line in matrix],
            )
        except (KeyError, TypeError, ValueError, binascii.Error, zlib.error):
            is_sound = False
        if not is_sound:
            raise _no_snapshot(path, f"map {number} of {len(rows)} is damaged")
        records.append(record)
    return masker, records


def _no_snapshot(path: str, found: str) -> UsageError:
    return UsageError(
        f"--restore needs a snapshot that `maskmill segment --mode all` wrote, got {path}: {found}"
    )
