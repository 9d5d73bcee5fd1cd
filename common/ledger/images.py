"""Rows of images before any work: recorded when they are found, marked when they are sent."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, and_, func, or_, select, update

from common.database import insert_into, reading
from common.models import Image
from common.pipeline import OPEN_STATES, STAGE_OF, Stage


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image as it is first recorded; see `common.models.Image` for the columns."""

    input_id: int
    relative_path: bytes
    stem: bytes
    size: int | None
    mtime_ns: int | None
    written: bytes | None


def record_images(engine: Engine, job_id: int, images: Iterable[NewImage]) -> None:
    """Open a row per image, as `queued`, in one commit; recorded ones keep their row.

    A failed or waiting image whose file has changed since, or that had vanished, is queued anew.
    """
    rows = [
        {
            "job_id": job_id,
            "input_id": one.input_id,
            "relative_path": one.relative_path,
            "stem": one.stem,
            "size": one.size,
            "mtime_ns": one.mtime_ns,
            "written": one.written,
            "status": "queued",
            "attempts": 0,
            "alone_starts": 0,
        }
        for one in images
    ]
    if not rows:
        return
    statement = insert_into(engine, Image)
    fresh: dict[str, Any] = {name: statement.excluded[name] for name in ("size", "mtime_ns", "written")}
    statement = statement.on_conflict_do_update(
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
                    # Not IN: its expanding parameter cannot be used with many rows at once.
                    or_(Image.status == "failed", Image.status == "queued"),
                    or_(
                        Image.size.is_distinct_from(statement.excluded.size),
                        Image.mtime_ns.is_distinct_from(statement.excluded.mtime_ns),
                    ),
                ),
            ),
        ),
    )
    with engine.begin() as connection:
        connection.execute(statement, rows)


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


def unsent(engine: Engine, job_id: int, limit: int) -> list[tuple[Stage, list[int]]]:
    """Images that wait for a stage and have no message under way: at most `limit` ids, per stage."""
    waiting: list[tuple[Stage, list[int]]] = []
    with reading(engine) as connection:
        # What is further along goes first, so that an interrupted job ends its half-done images.
        for state in reversed(OPEN_STATES):
            ids = connection.scalars(
                select(Image.id)
                .where(Image.job_id == job_id, Image.status == state, Image.sent_at.is_(None))
                .order_by(Image.id)
                .limit(limit)
            ).all()
            if ids:
                waiting.append((STAGE_OF[state], list(ids)))
    return waiting


def mark_sent(engine: Engine, ids: Sequence[int]) -> None:
    """Note that a message for these images is under way."""
    with engine.begin() as connection:
        connection.execute(update(Image).where(Image.id.in_(ids)).values(sent_at=time.time()))


def forget_sent(engine: Engine, job_id: int, *, before: float) -> int:
    """Take the messages of open images sent before a time for lost; returns how many images that are.

    So is that of an image whose claim has run out: its process died or was killed for taking too long.
    """
    with engine.begin() as connection:
        answer = connection.execute(
            update(Image)
            .where(
                Image.job_id == job_id,
                Image.status.in_(OPEN_STATES),
                or_(
                    Image.sent_at < before,
                    and_(Image.sent_at.is_not(None), Image.claimed_until < time.time()),
                ),
            )
            .values(sent_at=None)
        )
        return int(answer.rowcount)


def count_open(engine: Engine, job_id: int) -> int:
    """Images of a job that are not in a final state."""
    with reading(engine) as connection:
        query = select(func.count()).where(Image.job_id == job_id, Image.status.in_(OPEN_STATES))
        return int(connection.execute(query).scalar_one())
