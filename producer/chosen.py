"""Which recorded images the inputs of a command mean."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Engine

from common.errors import UsageError
from common.escaping import escape
from common.faces_folder import FolderFace, SkippedFile, read_faces_folder, require_folder
from common.ledger.images import rows_at
from common.ledger.jobs import RecordedInput, RecordedJob
from common.ledger.segments import places_of
from producer.inputs import Input, inside
from producer.scan import Scanner, batches

_BATCH = 500
"""Paths a query: SQLite takes 32,766 values, and each path may lie below several roots."""


@dataclass
class Chosen:
    """The images of a job among those of some inputs.

    Attributes:
        image_ids: in portions, in the order of the inputs.
        crops: image id -> its crops, where crops are the input; see `common.models.SegmentImage`.
        unknown: how many images or crops have no row; `first_unknown` is one of them.
    """

    image_ids: list[list[int]] = field(default_factory=list)
    crops: dict[int, list[dict[str, Any]]] | None = None
    unknown: int = 0
    first_unknown: bytes | None = None

    @property
    def count(self) -> int:
        """How many images are chosen."""
        return sum(map(len, self.image_ids)) + len(self.crops or ())


Choice: TypeAlias = Callable[[RecordedJob], Chosen]
"""Gives the images of a job that a command means."""


def choose(engine: Engine, job: RecordedJob, inputs: Sequence[Input]) -> Chosen:
    """The rows of a job whose files are those of the inputs."""
    scanner = Scanner(inputs, job.output, follow_symlinks=job.follow_symlinks)
    chosen = Chosen()
    for batch in batches(scanner.images(), _BATCH):
        paths = [os.path.join(inputs[one.position].root, one.relative) for one in batch]
        ids = _ids_of(engine, job, paths)
        for path in paths:
            if path not in ids:
                chosen.unknown += 1
                chosen.first_unknown = chosen.first_unknown or path
        chosen.image_ids.append(sorted({ids[path] for path in paths if path in ids}))
    scanner.skips.tell()
    return chosen


def choose_job(jobs: Sequence[RecordedJob], choice: Choice, given: str) -> tuple[RecordedJob, Chosen]:
    """The only job that knows images of the inputs, and which.

    Args:
        given: the inputs in words.

    Raises:
        UsageError: none does, or several do.
    """
    found = [(job, chosen) for job in jobs if (chosen := choice(job)).count]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(f"--input {given}: no job of this database has an image of it; `maskmill run` first")
    names = ", ".join(job.name for job, _ in found)
    raise UsageError(f"--input {given}: {len(found)} jobs have images of it ({names}): name the JOB")


class CropFolders:
    """The crops of some folders, matched once; each job gets those of its own faces.

    Raises:
        UsageError: one is no folder.
    """

    def __init__(self, engine: Engine, folders: Sequence[str]) -> None:
        self.folders = [require_folder(os.fsencode(one)) for one in folders]
        self._of_job: dict[int, dict[int, list[dict[str, Any]]]] = {}
        self._unknown: list[bytes] = []
        for number, folder in enumerate(self.folders):
            for batch in batches(read_faces_folder(folder, engine), _BATCH):
                self._sort(engine, number, batch)

    def chosen(self, job: RecordedJob) -> Chosen:
        """The crops of one job; those of no face, or of another job's, are unknown."""
        crops = self._of_job.get(job.id, {})
        elsewhere = sum(
            len(files)
            for one, by_image in self._of_job.items()
            if one != job.id
            for files in by_image.values()
        )
        first = self._unknown[0] if self._unknown else None
        return Chosen([], crops, len(self._unknown) + elsewhere, first)

    def _sort(self, engine: Engine, folder: int, batch: Sequence[FolderFace | SkippedFile]) -> None:
        faces = [one for one in batch if isinstance(one, FolderFace) and one.face_id is not None]
        places = places_of(engine, [one.face_id for one in faces if one.face_id is not None])
        for one in batch:
            # A crop is a square; what is none any more shows the face nobody knows where.
            if isinstance(one, SkippedFile) or one.face_id not in places or one.width != one.height:
                self._unknown.append(one.path)
                continue
            job_id, image_id = places[one.face_id]
            of_image = self._of_job.setdefault(job_id, {}).setdefault(image_id, [])
            of_image.append(_as_row(one, folder))


def _as_row(one: FolderFace, folder: int) -> dict[str, Any]:
    return {
        "face_id": one.face_id,
        "folder": folder,
        "path": escape(one.relative),
        "style": one.crop_style,
        "variant": one.variant,
        "side": one.width,
        "matrix": None if one.record is None else one.record.matrix,
        "recorded_side": None if one.record is None else one.record.crop_size,
    }


def _ids_of(engine: Engine, job: RecordedJob, paths: Sequence[bytes]) -> dict[bytes, int]:
    """Absolute path → id of those of the paths that have a row."""
    roots = {(one.root, one.prefix) for one in job.inputs}
    relative = {
        os.path.join(prefix, path[len(root) :].lstrip(b"/"))
        for path in paths
        for root, prefix in roots
        if inside(path, root)
    }
    by_id = {one.id: one for one in job.inputs}
    rows = rows_at(engine, job.id, sorted(relative))
    found = {_absolute(by_id[row.input_id], row.relative_path): int(row.id) for row in rows}
    return {path: found[path] for path in paths if path in found}


def _absolute(one: RecordedInput, relative_path: bytes) -> bytes:
    below = relative_path[len(one.prefix) :].lstrip(b"/") if one.prefix else relative_path
    return os.path.join(one.root, below)
