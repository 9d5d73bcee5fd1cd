"""`--boxes`: where the user says that faces are, out of a CSV file or out of another job's rows."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from sqlalchemy import Engine

from common.database import persistently
from common.escaping import escape
from common.ledger.boxes import GivenFace, record_boxes
from common.ledger.jobs import RecordedJob
from common.ledger.reports import image_pages, rows_of
from common.models import Face
from producer.box_rows import read_rows
from producer.inputs import Input

log = logging.getLogger("maskmill.boxes")

JOB = "job:"


class BoxSource(Protocol):
    """Where boxes come from."""

    @property
    def identity(self) -> str:
        """What stands in the job's options: other boxes would give other artifacts."""

    def faces(self, inputs: Sequence[Input]) -> Iterator[GivenFace]:
        """Every box, with the absolute path of its image.

        Args:
            inputs: of the job; relative paths may be counted from their roots.
        """


@dataclass(frozen=True)
class CsvBoxes:
    """A file with the columns of `export --table faces`.

    Rows whose `status` is a rejection are left out. A relative path is relative to the file's folder, else to
    the current folder, else to the root of an input.
    """

    path: str
    identity: str

    def faces(self, inputs: Sequence[Input]) -> Iterator[GivenFace]:
        """Every box; paths where there is nothing are counted in the log."""
        resolver = _Resolver(os.fsencode(os.path.dirname(os.path.abspath(self.path))), inputs)
        for line, written, values in read_rows(self.path):
            yield GivenFace(resolver.absolute(written), line, *values)
        resolver.tell(self.path)


@dataclass(frozen=True)
class JobBoxes:
    """The accepted faces of another job."""

    engine: Engine
    job: RecordedJob

    @property
    def identity(self) -> str:
        """The job's name."""
        return JOB + self.job.name

    def faces(self, inputs: Sequence[Input]) -> Iterator[GivenFace]:
        """Every accepted face, by the absolute path of its image."""
        roots = {one.id: one for one in self.job.inputs}
        line = 0
        for images in image_pages(self.engine, self.job):
            faces = rows_of(self.engine, Face, [image.id for image in images], Face.face_index)
            for image in images:
                one = roots[image.input_id]
                below = bytes(image.relative_path)[len(one.prefix) :].lstrip(b"/")
                for face in faces.get(image.id, []):
                    if face.status == "accepted":
                        line += 1
                        corners = face.x1, face.y1, face.x2, face.y2
                        more = face.score, face.angle or 0.0, face.points_5
                        yield GivenFace(os.path.join(one.root, below), line, *corners, *more)


def record_given(engine: Engine, job: RecordedJob, source: BoxSource, inputs: Sequence[Input]) -> None:
    """Write the boxes of a job into SQL, once."""
    count = persistently(lambda: record_boxes(engine, job.id, source.faces(inputs)))
    if count:
        log.info("job %s: %d boxes recorded", job.name, count)


class _Resolver:
    """Absolute paths of written ones. Faces of one image follow each other: the last answer is kept."""

    def __init__(self, folder: bytes, inputs: Sequence[Input]) -> None:
        self._folders = [folder, os.getcwdb(), *(one.root for one in inputs)]
        self._last: tuple[bytes, bytes] = (b"", b"")
        self._real_folder = lru_cache(10_000)(os.path.realpath)
        self._absent = 0
        self._example = b""

    def absolute(self, written: bytes) -> bytes:
        """Where a path leads; the folder is resolved, the last part may be a link and stays as named."""
        if self._last[0] != written:
            self._last = written, self._find(written)
        return self._last[1]

    def tell(self, source: str) -> None:
        """Log how many of the paths lead nowhere."""
        if self._absent:
            log.warning(
                "--boxes %s: %d of its images are not there, such as %s",
                source,
                self._absent,
                escape(self._example),
            )

    def _find(self, written: bytes) -> bytes:
        for folder in self._folders:
            found = os.path.normpath(os.path.join(folder, written))
            if os.path.lexists(found):
                break
        else:
            self._absent += 1
            self._example = self._example or written
        folder, name = os.path.split(found)
        return os.path.join(bytes(self._real_folder(folder)), name)
