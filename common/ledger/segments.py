"""Rows of segmentations: what is asked for, and which images it takes."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    Executable,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    select,
    update,
)

from common.database import insert_into, reading
from common.escaping import unescape
from common.ledger.desks import JOBS, SEGMENTATIONS, Desk
from common.ledger.jobs import RecordedJob, find_job
from common.models import Face, Image, Job, Segmentation, SegmentImage, SegmentRun
from common.pipeline import OPEN_STATES, JobState, Stage
from common.statements import Prepared


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """What one `maskmill segment` asks for; the names are those of `common.models.SegmentRun`."""

    masker: str
    network: bytes | None
    mode: str
    input_type: str
    selection: str
    previews: bytes | None
    full_size: bool
    blur_kernel: int
    threshold: int

    @property
    def crop_folders(self) -> list[bytes]:
        """The folders of crops that are its input; none for frames."""
        return [unescape(one) for one in json.loads(self.selection)] if self.input_type == "faces" else []


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A segmentation as it stands in SQL; `output` is that of its job."""

    id: int
    name: str
    job: RecordedJob
    request: SegmentRequest
    state: JobState
    error: str | None
    started_at: float
    finished_at: float | None

    @property
    def desk(self) -> Desk:
        """Where its work is written down."""
        return SEGMENTATIONS

    @property
    def output(self) -> bytes:
        """The output of its job."""
        return self.job.output

    @property
    def scanned_at(self) -> float:
        """When its images were recorded: all at once, when it began."""
        return self.started_at


Work: TypeAlias = RecordedJob | RecordedRun
"""What is fed, followed and worked on."""


def find_run(engine: Engine, name: str) -> RecordedRun | None:
    """The segmentation of that name; None where there is none."""
    with reading(engine) as connection:
        row = connection.execute(select(SegmentRun.__table__).where(SegmentRun.name == name)).one_or_none()
        job_name = row and connection.scalar(select(Job.name).where(Job.id == row.job_id))
    job = find_job(engine, name=job_name) if job_name else None
    if row is None or job is None:
        return None
    request = SegmentRequest(**{name: getattr(row, name) for name in SegmentRequest.__slots__})
    return RecordedRun(row.id, row.name, job, request, row.state, row.error, row.started_at, row.finished_at)


def find_work(engine: Engine, stage: Stage, name: str) -> Work | None:
    """The job or segmentation that a message of a stage names."""
    return find_run(engine, name) if stage == "segment" else find_job(engine, name=name)


def find_again(engine: Engine, work: Work) -> Work | None:
    """A job or segmentation as it stands now."""
    if isinstance(work, RecordedRun):
        return find_run(engine, work.name)
    return find_job(engine, name=work.name)


def state_of(engine: Engine, work: Work) -> tuple[JobState, str | None] | None:
    """State and error of a job or segmentation as it stands now; None when it is there no more."""
    with reading(engine) as connection:
        row = _STATE[work.desk].run(connection, head=work.id).one_or_none()
    return None if row is None else (row.state, row.error)


def _asking_state(desk: Desk, _dialect: Dialect) -> Executable:
    return select(desk.heads.c.state, desk.heads.c.error).where(desk.heads.c.id == bindparam("head"))


_STATE = {desk: Prepared(partial(_asking_state, desk)) for desk in (JOBS, SEGMENTATIONS)}


def running_run_names(engine: Engine) -> list[str]:
    """Names of the segmentations in state `running`, oldest first."""
    with reading(engine) as connection:
        query = select(SegmentRun.name).where(SegmentRun.state == "running").order_by(SegmentRun.id)
        return list(connection.scalars(query))


def runs_of(engine: Engine, job: RecordedJob) -> list[RecordedRun]:
    """The segmentations of a job, oldest first."""
    with reading(engine) as connection:
        names = connection.scalars(
            select(SegmentRun.name).where(SegmentRun.job_id == job.id).order_by(SegmentRun.id)
        ).all()
    found = (find_run(engine, name) for name in names)
    return [run for run in found if run is not None]


def unfinished_run(engine: Engine, job: RecordedJob, request: SegmentRequest) -> RecordedRun | None:
    """The segmentation that was asked for in the same words and has not ended as done."""
    wanted = (run for run in runs_of(engine, job) if run.request == request and run.state != "done")
    return next(wanted, None)


def continue_run(engine: Engine, run: RecordedRun) -> RecordedRun:
    """Set a segmentation running again; what is under way counts as lost."""
    with engine.begin() as connection:
        connection.execute(
            update(SegmentRun)
            .where(SegmentRun.id == run.id)
            .values(state="running", error=None, started_at=time.time(), finished_at=None)
        )
        connection.execute(
            update(SegmentImage)
            .where(SegmentImage.run_id == run.id, SegmentImage.status.in_(OPEN_STATES))
            .values(sent_at=None)
        )
    return _found(engine, run.name)


def open_run(
    engine: Engine,
    job: RecordedJob,
    request: SegmentRequest,
    image_ids: Iterable[Sequence[int]] | None = None,
    crops: Mapping[int, list[dict[str, Any]]] | None = None,
) -> RecordedRun:
    """Record a segmentation with its images, in one commit; earlier ones of the masker that are done go.

    Args:
        image_ids: the images it is confined to, in portions; None: all of the job. Those without an accepted
            face are left out.
        crops: image id -> the crops that are its input, see `common.models.SegmentImage`; then no other image
            and no other face counts.
    """
    name = secrets.token_hex(4)
    with engine.begin() as connection:
        earlier = select(SegmentRun.id).where(
            SegmentRun.job_id == job.id, SegmentRun.masker == request.masker, SegmentRun.state == "done"
        )
        # Their maps are in a table of their own.
        connection.execute(delete(SegmentImage).where(SegmentImage.run_id.in_(earlier)))
        connection.execute(delete(SegmentRun).where(SegmentRun.id.in_(earlier)))
        run_id = connection.execute(
            insert_into(engine, SegmentRun)
            .values(name=name, job_id=job.id, state="running", started_at=time.time(), **asdict(request))
            .returning(SegmentRun.id)
        ).scalar_one()
        if crops is not None:
            _take_in_crops(connection, engine, run_id, crops)
        elif image_ids is None:
            _take_in(connection, engine, run_id, request, Image.job_id == job.id)
        else:
            for ids in image_ids:
                chosen = (Image.job_id == job.id) & Image.id.in_(ids)
                _take_in(connection, engine, run_id, request, chosen)
    return _found(engine, name)


def _take_in(
    connection: Connection, engine: Engine, run_id: int, request: SegmentRequest, chosen: Any
) -> None:
    """Record images; one that needs nothing, since all of its faces have their map, is done at once."""
    accepted = (Face.image_id == Image.id) & (Face.status == "accepted")
    faces = select(func.count()).where(accepted).correlate(Image).scalar_subquery()
    is_waiting: Any = literal(True)
    if request.mode == "missing" and request.previews is None:
        has_map = exists().where(Segmentation.face_id == Face.id, Segmentation.masker == request.masker)
        is_waiting = exists(select(Face.id).where(accepted, ~has_map).correlate(Image))
    values: dict[str, Any] = {
        "run_id": literal(run_id),
        "image_id": Image.id,
        "status": case((is_waiting, "queued"), else_="done"),
        "faces": faces,
        "kept": case((is_waiting, 0), else_=faces),
        **{
            name: literal(0)
            for name in ("attempts", "starts", "alone_starts", "updated", "left_out", "previews")
        },
    }
    rows = select(*values.values()).where(chosen, faces > 0).order_by(Image.id)
    statement = insert_into(engine, SegmentImage).from_select(list(values), rows)
    connection.execute(statement.on_conflict_do_nothing())


def _take_in_crops(
    connection: Connection, engine: Engine, run_id: int, crops: Mapping[int, list[dict[str, Any]]]
) -> None:
    rows = [
        {
            "run_id": run_id,
            "image_id": image_id,
            "status": "queued",
            "faces": len({one["face_id"] for one in files}),
            "crops": files,
            **dict.fromkeys(
                ("attempts", "starts", "alone_starts", "updated", "kept", "left_out", "previews"), 0
            ),
        }
        for image_id, files in sorted(crops.items())
    ]
    if rows:
        connection.execute(insert_into(engine, SegmentImage).on_conflict_do_nothing(), rows)


def places_of(engine: Engine, face_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Face id → (job id, image id)."""
    query = select(Face.id, Image.job_id, Face.image_id).join(Image, Image.id == Face.image_id)
    with reading(engine) as connection:
        rows = connection.execute(query.where(Face.id.in_(face_ids)))
        return {row.id: (row.job_id, row.image_id) for row in rows}


def leave_runs(engine: Engine, job: RecordedJob, *, but: RecordedRun) -> None:
    """Note that no other segmentation of a job is worked on."""
    with engine.begin() as connection:
        connection.execute(
            update(SegmentRun)
            .where(SegmentRun.job_id == job.id, SegmentRun.id != but.id, SegmentRun.state == "running")
            .values(state="interrupted", finished_at=time.time())
        )


def _found(engine: Engine, name: str) -> RecordedRun:
    run = find_run(engine, name)
    assert run is not None
    return run
