"""Rows of images before any work: recorded when they are found, marked when they are sent."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

from sqlalchemy import (
    ColumnElement,
    Dialect,
    Engine,
    Executable,
    Row,
    Table,
    and_,
    bindparam,
    exists,
    func,
    or_,
    select,
    text,
    update,
)

from common.database import reading
from common.ledger.desks import JOBS, SEGMENTATIONS, Desk
from common.models import Artifact, Image
from common.pipeline import OPEN_STATES, ImageState, Stage
from common.statements import ManyRows, Prepared, Source, among, insert_rows


class NewImage(NamedTuple):
    """An image as it is first recorded; see `common.models.Image` for the columns."""

    input_id: int
    relative_path: bytes
    stem: bytes
    size: int | None
    mtime_ns: int | None
    written: bytes | None
    frame_index: int | None = None
    keyframe_index: int | None = None


def record_images(engine: Engine, job_id: int, images: Sequence[NewImage]) -> None:
    """Open a row per image, as `queued`, in one commit; recorded ones keep their row.

    A failed or waiting image whose file has changed since, or that had vanished, is queued anew.
    """
    if images:
        with engine.begin() as connection:
            _RECORD.run(connection, images, job_id=job_id)


def _record(dialect: Dialect, source: Source) -> Any:
    constants = {
        "status": text("'queued'"),
        **dict.fromkeys(("attempts", "starts", "alone_starts"), text("0")),
    }
    statement = insert_rows(dialect, _IMAGES, source, constants)
    renewed = ("size", "mtime_ns", "written", "frame_index", "keyframe_index")
    fresh: dict[str, Any] = {name: statement.excluded[name] for name in renewed}
    return statement.on_conflict_do_update(
        index_elements=["job_id", "relative_path"],
        set_={
            **fresh,
            "status": "queued",
            "sent_at": None,
            "attempts": 0,
            "alone_starts": 0,
            "error_stage": None,
            "error_code": None,
            "error_message": None,
            "finished_at": None,
        },
        where=and_(
            statement.excluded.size.is_not(None),
            Image.input_id == statement.excluded.input_id,
            or_(
                Image.error_code == "vanished",
                and_(
                    or_(Image.status == "failed", Image.status == "queued"),
                    or_(
                        Image.size.is_distinct_from(statement.excluded.size),
                        Image.mtime_ns.is_distinct_from(statement.excluded.mtime_ns),
                    ),
                ),
            ),
        ),
    )


_IMAGES = cast(Table, Image.__table__)
_RECORD = ManyRows(_record, [_IMAGES.c[name] for name in NewImage._fields], {"job_id": _IMAGES.c.job_id.type})


def has_images(engine: Engine, job_id: int) -> bool:
    """The job has at least one image."""
    with reading(engine) as connection:
        return connection.execute(select(Image.id).where(Image.job_id == job_id).limit(1)).first() is not None


def known_stems(engine: Engine, job_id: int, relative_paths: Sequence[bytes]) -> dict[bytes, bytes]:
    """Relative path → stem of those of the paths that are recorded."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(Image.relative_path, Image.stem).where(
                Image.job_id == job_id, Image.relative_path.in_(relative_paths)
            )
        )
        return {row.relative_path: row.stem for row in rows}


def done_paths(engine: Engine, job_id: int, relative_paths: Sequence[bytes]) -> set[bytes]:
    """Those of the paths whose image is done and has its artifacts."""
    with reading(engine) as connection:
        return set(
            connection.scalars(
                select(Image.relative_path).where(
                    Image.job_id == job_id,
                    Image.relative_path.in_(relative_paths),
                    Image.status == "done",
                    exists().where(Artifact.image_id == Image.id),
                )
            )
        )


def owners_of(engine: Engine, job_id: int, relative_paths: Sequence[bytes]) -> dict[bytes, int]:
    """Relative path → id of the input of those of the paths that are recorded."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(Image.relative_path, Image.input_id).where(
                Image.job_id == job_id, Image.relative_path.in_(relative_paths)
            )
        )
        return {row.relative_path: row.input_id for row in rows}


def stems_in_folder(engine: Engine, job_id: int, folder: bytes) -> Mapping[bytes, bytes]:
    """File name → stem (both without folder) of all images recorded in one folder of the output."""
    start = folder + b"/" if folder else b""
    conditions = [Image.job_id == job_id]
    if start:
        # "0" is the character behind "/": the range is everything below the folder.
        conditions += [Image.relative_path > start, Image.relative_path < folder + b"0"]
    with reading(engine) as connection:
        rows = connection.execute(select(Image.relative_path, Image.stem).where(*conditions)).all()
    return {
        row.relative_path[len(start) :]: row.stem[len(start) :]
        for row in rows
        if b"/" not in row.relative_path[len(start) :]
    }


def rows_at(engine: Engine, job_id: int, relative_paths: Sequence[bytes]) -> list[Row[Any]]:
    """`id`, `input_id` and `relative_path` of those of the paths that are recorded."""
    with reading(engine) as connection:
        return list(
            connection.execute(
                select(Image.id, Image.input_id, Image.relative_path).where(
                    Image.job_id == job_id, Image.relative_path.in_(relative_paths)
                )
            )
        )


def unsent(engine: Engine, job_id: int, limit: int, *, desk: Desk = JOBS) -> list[tuple[Stage, list[int]]]:
    """Images that wait for a stage and have no message under way: at most `limit` ids, per stage."""
    work = desk.work.c
    waiting: list[tuple[Stage, list[int]]] = []
    with reading(engine) as connection:
        # What is further along goes first, so that an interrupted job ends its half-done images.
        for state, stage in reversed(desk.stage_of.items()):
            ids = connection.scalars(
                select(work.id)
                .where(desk.belongs_to(job_id), work.status == state, work.sent_at.is_(None))
                .order_by(work.id)
                .limit(limit)
            ).all()
            if ids:
                waiting.append((stage, list(ids)))
    return waiting


def frame_ranges(engine: Engine, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Id → (input, keyframe from which it is decoded) of those of the images that are frames of a video."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(Image.id, Image.input_id, Image.keyframe_index).where(
                Image.id.in_(ids), Image.keyframe_index.is_not(None)
            )
        )
        return {row.id: (row.input_id, row.keyframe_index) for row in rows}


def mark_sent(engine: Engine, ids: Sequence[int], *, desk: Desk = JOBS) -> None:
    """Note that a message for these images is under way."""
    with engine.begin() as connection:
        _MARK_SENT[desk].run(connection, ids=ids, sent_at=time.time())


def _marking(desk: Desk, dialect: Dialect) -> Executable:
    work = desk.work
    return update(work).where(among(dialect, work.c.id)).values(sent_at=bindparam("sent_at"))


_MARK_SENT = {desk: Prepared(partial(_marking, desk)) for desk in (JOBS, SEGMENTATIONS)}


def forget_sent(
    engine: Engine,
    job_id: int,
    *,
    before: float = float("inf"),
    ids: Sequence[int] | None = None,
    desk: Desk = JOBS,
) -> int:
    """Take the messages of open images sent before a time for lost; returns how many images that are.

    Args:
        ids: only of these images, and of none that a process still holds.
    """
    work = desk.work.c
    lost = [desk.belongs_to(job_id), work.status.in_(OPEN_STATES), work.sent_at < before]
    if ids is not None:
        lost += [work.id.in_(ids), _is_held_by_nobody(desk)]
    with engine.begin() as connection:
        return int(connection.execute(update(desk.work).where(*lost).values(sent_at=None)).rowcount)


def forget_abandoned(engine: Engine, job_id: int, *, desk: Desk = JOBS) -> int:
    """Let images be sent again whose claim ran out with their process; returns how many.

    It died, or was killed for taking too long: nobody works on them, whatever becomes of their message.
    """
    work = desk.work.c
    abandoned = (
        desk.belongs_to(job_id),
        work.status.in_(OPEN_STATES),
        work.claimed_until < time.time(),
        # One that was sent since then is on its way.
        work.sent_at < work.claimed_until,
    )
    with reading(engine) as connection:
        # Asked first: with a million images the search takes a while, and there is seldom one to change.
        if connection.execute(select(work.id).where(*abandoned).limit(1)).first() is None:
            return 0
    with engine.begin() as connection:
        return int(connection.execute(update(desk.work).where(*abandoned).values(sent_at=None)).rowcount)


def sent_before(
    engine: Engine, job_id: int, before: float, *, after_id: int, limit: int, desk: Desk = JOBS
) -> list[int]:
    """Ids of open images sent before a time that nobody holds, ascending, from behind an id on."""
    work = desk.work.c
    query = (
        select(work.id)
        .where(
            desk.belongs_to(job_id),
            work.status.in_(OPEN_STATES),
            work.sent_at < before,
            work.id > after_id,
            _is_held_by_nobody(desk),
        )
        .order_by(work.id)
        .limit(limit)
    )
    with reading(engine) as connection:
        return list(connection.scalars(query))


def _is_held_by_nobody(desk: Desk) -> ColumnElement[bool]:
    work = desk.work.c
    return or_(work.claimed_until.is_(None), work.claimed_until < time.time())


def count_open(engine: Engine, job_id: int, *, desk: Desk = JOBS) -> int:
    """Images of a job that are not in a final state."""
    with reading(engine) as connection:
        query = select(func.count()).where(desk.belongs_to(job_id), desk.work.c.status.in_(OPEN_STATES))
        return int(connection.execute(query).scalar_one())


def is_any(engine: Engine, job_id: int, *states: ImageState, desk: Desk = JOBS) -> bool:
    """A job has an image in one of the states; asked in no time, however many it has."""
    with reading(engine) as connection:
        return any(
            _ANY[desk].run(connection, head=job_id, state=state).first() is not None for state in states
        )


def is_any_unsent(engine: Engine, job_id: int, *, desk: Desk = JOBS) -> bool:
    """A job has an image that waits for a stage and has no message under way."""
    with reading(engine) as connection:
        return any(
            _ANY_UNSENT[desk].run(connection, head=job_id, state=state).first() is not None
            for state in desk.stage_of
        )


def _any(desk: Desk, _dialect: Dialect, *, is_unsent: bool) -> Executable:
    work = desk.work.c
    query = select(work.id).where(
        work[desk.head_column] == bindparam("head"), work.status == bindparam("state")
    )
    return (query.where(work.sent_at.is_(None)) if is_unsent else query).limit(1)


_ANY = {desk: Prepared(partial(_any, desk, is_unsent=False)) for desk in (JOBS, SEGMENTATIONS)}
_ANY_UNSENT = {desk: Prepared(partial(_any, desk, is_unsent=True)) for desk in (JOBS, SEGMENTATIONS)}
