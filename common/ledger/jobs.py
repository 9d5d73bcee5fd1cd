"""Rows of jobs and their inputs: opened at the door, closed at the end."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Engine, bindparam, case, delete, insert, select, update

from common.database import reading
from common.errors import UsageError
from common.escaping import escape
from common.ledger.desks import JOBS, Desk
from common.models import (
    Artifact,
    Chunk,
    Face,
    GivenBox,
    IdentityReference,
    Image,
    InputRow,
    Job,
    Mask,
    SegmentRun,
    Video,
)
from common.options import JobOptions, make_options
from common.pipeline import OPEN_STATES, ImageState, JobState
from common.statements import Prepared, from_json, to_json


class InputLike(Protocol):
    """What is recorded of an `--input`."""

    @property
    def kind(self) -> str: ...
    @property
    def given(self) -> bytes: ...
    @property
    def root(self) -> bytes: ...
    @property
    def prefix(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class RecordedInput:
    """An input as it stands in SQL."""

    id: int
    kind: str
    given: bytes
    root: bytes
    prefix: bytes

    def shown_path(self, relative_path: bytes, written: bytes | None) -> str:
        """An image as the user gave it: the input joined with the relative path, escaped.

        Args:
            relative_path: as it stands in SQL, with the input's prefix.
            written: the file or the line of a list as the user wrote it, if that was recorded.
        """
        if written is not None:
            return escape(written)
        below_root = relative_path[len(self.prefix) :].lstrip(b"/") if self.prefix else relative_path
        return escape(os.path.join(self.given, below_root))


@dataclass(frozen=True, slots=True)
class RecordedJob:
    """A job as it stands in SQL."""

    id: int
    name: str
    output: bytes
    output_given: bytes
    options: JobOptions
    follow_symlinks: bool
    state: JobState
    error: str | None
    provider: str | None
    started_at: float
    scanned_at: float | None
    finished_at: float | None
    found: int | None
    left_out: int | None
    inputs: tuple[RecordedInput, ...]

    @property
    def desk(self) -> Desk:
        """Where its work is written down."""
        return JOBS


class HeadLike(Protocol):
    """A job or a segmentation."""

    @property
    def id(self) -> int: ...
    @property
    def error(self) -> str | None: ...
    @property
    def desk(self) -> Desk: ...


def find_job(engine: Engine, *, output: bytes | None = None, name: str | None = None) -> RecordedJob | None:
    """The job of an output, or with a name; None where there is none."""
    with reading(engine) as connection:
        asked = (
            _BY_NAME.run(connection, name=name)
            if output is None
            else _BY_OUTPUT.run(connection, output=output)
        )
        row = asked.one_or_none()
        if row is None:
            return None
        inputs = _INPUTS_OF.run(connection, job_id=row.id).all()
    return RecordedJob(
        id=row.id,
        name=row.name,
        output=bytes(row.output),
        output_given=bytes(row.output_given),
        options=_options_of(row.options if isinstance(row.options, str) else to_json(row.options)),
        follow_symlinks=bool(row.follow_symlinks),
        state=row.state,
        error=row.error,
        provider=row.provider,
        started_at=row.started_at,
        scanned_at=row.scanned_at,
        finished_at=row.finished_at,
        found=row.found,
        left_out=row.left_out,
        inputs=tuple(
            RecordedInput(one.id, one.kind, bytes(one.given), bytes(one.root), bytes(one.prefix))
            for one in inputs
        ),
    )


@lru_cache(maxsize=8)
def _options_of(text: str) -> JobOptions:
    """The options of a row; each chunk asks for those of the same few jobs."""
    return make_options(from_json(text))


# Each chunk reads its job twice: built anew each time, the two queries took a third of the SQL of a small one.
_BY_NAME = Prepared(lambda _dialect: select(Job.__table__).where(Job.name == bindparam("name")))
_BY_OUTPUT = Prepared(lambda _dialect: select(Job.__table__).where(Job.output == bindparam("output")))
_INPUTS_OF = Prepared(
    lambda _dialect: (
        select(InputRow.__table__).where(InputRow.job_id == bindparam("job_id")).order_by(InputRow.position)
    )
)


def all_job_names(engine: Engine) -> list[str]:
    """Names of all jobs, oldest first."""
    with reading(engine) as connection:
        return list(connection.scalars(select(Job.name).order_by(Job.id)))


def running_job_names(engine: Engine) -> list[str]:
    """Names of the jobs in state `running`, oldest first."""
    with reading(engine) as connection:
        return list(connection.scalars(select(Job.name).where(Job.state == "running").order_by(Job.id)))


def open_job(
    engine: Engine,
    *,
    output: bytes,
    output_given: bytes,
    options: JobOptions,
    follow_symlinks: bool,
    version: str,
) -> RecordedJob:
    """Record a new job in state `running`."""
    now = time.time()
    with engine.begin() as connection:
        connection.execute(
            insert(Job).values(
                name=secrets.token_hex(4),
                output=output,
                output_given=output_given,
                options=options.model_dump(mode="json"),
                follow_symlinks=follow_symlinks,
                state="running",
                version=version,
                created_at=now,
                started_at=now,
            )
        )
    job = find_job(engine, output=output)
    if job is None:
        raise UsageError(f"the job of {output!r} was removed while it was opened")
    return job


def reopen_job(
    engine: Engine, job: RecordedJob, *, options: JobOptions, follow_symlinks: bool
) -> RecordedJob:
    """Set a job running again, with options that may ask for more artifacts.

    Images that are done go back to `detected` where more artifacts are asked for; what they have
    already stays. Messages that an earlier run sent are taken for lost.
    """
    with engine.begin() as connection:
        connection.execute(
            update(Job)
            .where(Job.id == job.id)
            .values(
                options=options.model_dump(mode="json"),
                follow_symlinks=follow_symlinks,
                state="running",
                error=None,
                started_at=time.time(),
                scanned_at=None,
                finished_at=None,
                found=None,
                left_out=None,
            )
        )
        if options != job.options:
            connection.execute(
                update(Image)
                .where(Image.job_id == job.id, Image.status == "done")
                .values(status="detected", sent_at=None, attempts=0, finished_at=None)
            )
    found = find_job(engine, name=job.name)
    assert found is not None
    return found


def add_inputs(engine: Engine, job: RecordedJob, inputs: Sequence[InputLike]) -> list[int]:
    """Record the inputs that the job does not have yet; returns the row id of each one given."""
    known: dict[tuple[str, bytes, bytes], int] = {
        (one.kind, one.root, one.prefix): one.id for one in job.inputs
    }
    position = len(job.inputs)
    ids: list[int] = []
    with engine.begin() as connection:
        for one in inputs:
            key = (one.kind, one.root, one.prefix)
            if key not in known:
                values = {"kind": one.kind, "given": one.given, "root": one.root, "prefix": one.prefix}
                statement = insert(InputRow).values(job_id=job.id, position=position, **values)
                known[key] = connection.execute(statement.returning(InputRow.id)).scalar_one()
                position += 1
            ids.append(known[key])
    return ids


def set_job(engine: Engine, job_id: int, **values: Any) -> None:
    """Write columns of a job."""
    with engine.begin() as connection:
        connection.execute(update(Job).where(Job.id == job_id).values(**values))


def resume_job(engine: Engine, job: RecordedJob) -> None:
    """Set a job running again without recording anything new; what is under way counts as lost."""
    with engine.begin() as connection:
        connection.execute(
            update(Job)
            .where(Job.id == job.id)
            .values(state="running", error=None, started_at=time.time(), finished_at=None)
        )
        connection.execute(
            update(Image).where(Image.job_id == job.id, Image.status.in_(OPEN_STATES)).values(sent_at=None)
        )


def retry_images(engine: Engine, job: RecordedJob, states: Sequence[ImageState]) -> int:
    """Queue failed or missed images anew; returns how many. Repeated, it changes nothing more."""
    missed = select(Image.id).where(Image.job_id == job.id, Image.status == "missed")
    with engine.begin() as connection:
        if "missed" in states:
            connection.execute(delete(Face).where(Face.image_id.in_(missed)))
        answer = connection.execute(
            update(Image)
            .where(Image.job_id == job.id, Image.status.in_(states))
            .values(
                # What failed behind the detection keeps its faces and goes on from there.
                status=case((Image.error_stage == "augment", "detected"), else_="queued"),
                sent_at=None,
                attempts=0,
                alone_starts=0,
                error_stage=None,
                error_code=None,
                error_message=None,
                finished_at=None,
            )
        )
        return int(answer.rowcount)


def cancel_job(engine: Engine, job: RecordedJob) -> None:
    """Set a job that is not done to `cancelled`; its open images stay open, no chunk is begun any more.

    So are its segmentations that run.
    """
    with engine.begin() as connection:
        connection.execute(
            update(SegmentRun)
            .where(SegmentRun.job_id == job.id, SegmentRun.state == "running")
            .values(state="cancelled", error=None, finished_at=time.time())
        )
        connection.execute(
            update(Job)
            .where(Job.id == job.id, Job.state != "done")
            .values(state="cancelled", error=None, finished_at=time.time())
        )


def note_obstacle(engine: Engine, job: HeadLike, obstacle: str | None) -> None:
    """Write down what a running job waits for (a full disk, say), or that it goes on."""
    if job.error != obstacle:
        with engine.begin() as connection:
            heads = job.desk.heads
            connection.execute(
                update(heads).where(heads.c.id == job.id, heads.c.state == "running").values(error=obstacle)
            )


def close_job(
    engine: Engine, job_id: int, state: JobState, error: str | None = None, *, desk: Desk = JOBS
) -> None:
    """End a running job; one that is not running keeps its state."""
    heads = desk.heads
    with engine.begin() as connection:
        connection.execute(
            update(heads)
            .where(heads.c.id == job_id, heads.c.state == "running")
            .values(state=state, error=error, finished_at=time.time())
        )


def remove_job(engine: Engine, job_id: int) -> None:
    """Delete a job with all its rows."""
    images = select(Image.id).where(Image.job_id == job_id)
    with engine.begin() as connection:
        for column in (Artifact.image_id, Mask.image_id, Face.image_id):
            connection.execute(delete(column.class_).where(column.in_(images)))
        for column in (
            Chunk.job_id,
            GivenBox.job_id,
            IdentityReference.job_id,
            Image.job_id,
            Video.job_id,
            InputRow.job_id,
        ):
            connection.execute(delete(column.class_).where(column == job_id))
        connection.execute(delete(Job).where(Job.id == job_id))
