"""Claims: an image is worked on by one process at a time, and a deadly one is found out.

A claim is committed before any pixel is touched. One that is found again, from a process that is gone,
means that a process died over those images. Images of such a chunk are taken apart and tried alone;
only deaths while an image runs alone count, and after `MAX_DEATHS` of them it is failed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Executable, Row, bindparam, select, update

from common.ledger.desks import JOBS, SEGMENTATIONS, Desk, desk_of
from common.models import Face, Image
from common.owner import is_known_dead
from common.pipeline import WAITS_FOR, ChunkMessage, Stage
from common.statements import Prepared, among, from_json
from common.version import VERSION

MAX_DEATHS = 3


@dataclass(frozen=True, slots=True)
class ClaimedFace:
    """An accepted face that the detect stage stored; `box` is (x1, y1, x2, y2), pixels.

    `points_68` are there once its image has been augmented. `angle`: degrees clockwise that the picture was
    turned when the face was found.
    """

    id: int
    face_index: int
    box: tuple[float, float, float, float]
    points_5: list[list[float]] | None
    points_68: list[list[float]] | None = None
    ordinal: int = 0
    score: float | None = None
    angle: float = 0.0


@dataclass(frozen=True, slots=True)
class ClaimedImage:
    """An image that this process may work on now; `id` is that of the row which the claim is on.

    `crops` are those that a segmentation has as its input, see `common.models.SegmentImage`.
    """

    id: int
    input_id: int
    relative_path: bytes
    stem: bytes
    size: int | None
    mtime_ns: int | None
    attempts: int
    faces: tuple[ClaimedFace, ...] = ()
    frame_index: int | None = None
    written: bytes | None = None
    crops: list[dict[str, Any]] | None = None


@dataclass(slots=True)
class Claims:
    """What became of the images of a message.

    Attributes:
        images: to work on, by id.
        alone: a process died over the chunk they were in: to be sent again one by one.
        deadly: failed now, since the process died over each of them alone too often.
        passed_on: already beyond this stage and waiting for the next one.
    """

    images: list[ClaimedImage] = field(default_factory=list)
    alone: list[int] = field(default_factory=list)
    deadly: list[int] = field(default_factory=list)
    passed_on: list[int] = field(default_factory=list)


def claim(
    engine: Engine, job_id: int, stage: Stage, message: ChunkMessage, *, owner: str, lease_s: float
) -> Claims:
    """Claim the images of a message that wait for this stage; one commit.

    Args:
        job_id: of the job, or for `segment` of the segmentation.
    """
    claims = Claims()
    now = time.time()
    desk = desk_of(stage)
    with engine.begin() as connection:
        rows = [row for row in _ASKED[desk].run(connection, ids=message.image_ids) if row.head_id == job_id]
        free = [row for row in rows if row.status == WAITS_FOR[stage] and _is_free(row, owner, now)]
        claims.passed_on = [row.id for row in rows if stage == "detect" and row.status == "detected"]
        is_alone = len(message.image_ids) == 1
        taken: list[Row[tuple[object, ...]]] = []
        for row in free:
            if row.claimed_by is not None and not is_alone:
                claims.alone.append(row.id)
            elif is_alone and row.alone_starts >= MAX_DEATHS:
                claims.deadly.append(row.id)
            else:
                taken.append(row)
        _release(connection, desk, claims.alone)
        _fail(connection, desk, claims.deadly, stage, now)
        _take(connection, desk, [row.id for row in taken], owner, now + lease_s, alone=is_alone)
        images = _images(connection, desk, taken)
        faces = {} if stage == "detect" else _faces(connection, [image.id for image in images.values()])
    claims.images = [
        ClaimedImage(
            row.id,
            images[row.id].input_id,
            images[row.id].relative_path,
            images[row.id].stem,
            images[row.id].size,
            images[row.id].mtime_ns,
            row.attempts + 1,
            tuple(faces.get(images[row.id].id, ())),
            images[row.id].frame_index,
            images[row.id].written,
            crops=None if desk is JOBS else from_json(row.crops),
        )
        for row in taken
    ]
    return claims


def release(
    engine: Engine, ids: Sequence[int], owner: str, *, as_death: bool = False, desk: Desk = JOBS
) -> None:
    """Give claims back.

    Args:
        as_death: the start counts as if the process had died; otherwise the end was orderly.
    """
    # Its message comes back, or another one is sent, from now on.
    work = desk.work.c
    values: dict[str, object] = {"claimed_by": None, "claimed_until": None, "sent_at": time.time()}
    if not as_death:
        values["alone_starts"] = 0
    with engine.begin() as connection:
        connection.execute(
            update(desk.work).where(work.id.in_(ids), work.claimed_by == owner).values(**values)
        )


def _is_free(row: Row[tuple[object, ...]], owner: str, now: float) -> bool:
    return (
        row.claimed_by is None
        or row.claimed_by == owner
        or row.claimed_until < now
        or is_known_dead(row.claimed_by)
    )


def _take(
    connection: Connection, desk: Desk, ids: Sequence[int], owner: str, until: float, *, alone: bool
) -> None:
    if ids:
        _TAKE[desk].run(connection, ids=ids, owner=owner, until=until, alone=int(alone))


def _release(connection: Connection, desk: Desk, ids: Sequence[int]) -> None:
    if ids:
        connection.execute(
            update(desk.work)
            .where(desk.work.c.id.in_(ids))
            .values(claimed_by=None, claimed_until=None, sent_at=time.time())
        )


def _fail(connection: Connection, desk: Desk, ids: Sequence[int], stage: Stage, now: float) -> None:
    if ids:
        connection.execute(
            update(desk.work)
            .where(desk.work.c.id == bindparam("b_id"))
            .values(
                status="failed",
                error_stage=stage,
                error_code="killed-worker",
                error_message=f"its process died {MAX_DEATHS} times while it worked on this image alone",
                claimed_by=None,
                claimed_until=None,
                version=VERSION,
                finished_at=now,
            ),
            [{"b_id": one} for one in ids],
        )


def _images(
    connection: Connection, desk: Desk, taken: Sequence[Row[tuple[object, ...]]]
) -> dict[int, Row[tuple[object, ...]]]:
    """Work row id → row of its image."""
    if desk is JOBS:
        return {row.id: row for row in taken}
    ids = [row.image_id for row in taken]
    rows = connection.execute(select(Image.__table__).where(Image.id.in_(ids)))
    of_image = {row.id: row for row in rows}
    return {row.id: of_image[row.image_id] for row in taken}


def _faces(connection: Connection, ids: Sequence[int]) -> dict[int, list[ClaimedFace]]:
    faces: dict[int, list[ClaimedFace]] = {}
    for (
        face_id, image_id, index, ordinal, score, angle, x1, y1, x2, y2, points_5, points_68,
    ) in _FACES_OF.run(connection, ids=ids):  # fmt: skip
        face = ClaimedFace(
            face_id,
            index,
            (x1, y1, x2, y2),
            from_json(points_5),
            from_json(points_68),
            ordinal,
            score,
            angle or 0.0,
        )
        faces.setdefault(image_id, []).append(face)
    return faces


_CLAIM = ("id", "status", "claimed_by", "claimed_until", "attempts", "alone_starts")
_OF_ITS_KIND = {
    JOBS: ("input_id", "relative_path", "stem", "size", "mtime_ns", "frame_index", "written"),
    SEGMENTATIONS: ("image_id", "crops"),
}


def _asking(desk: Desk, dialect: Dialect) -> Executable:
    # Whose they are is asked of the rows: as a condition it made SQLite walk through all rows of the job.
    work = desk.work.c
    columns = [work[name] for name in (*_CLAIM, *_OF_ITS_KIND[desk])]
    query = select(work[desk.head_column].label("head_id"), *columns)
    return query.where(among(dialect, work.id)).order_by(work.id).with_for_update()


def _taking(desk: Desk, dialect: Dialect) -> Executable:
    work = desk.work.c
    return (
        update(desk.work)
        .where(among(dialect, work.id))
        .values(
            claimed_by=bindparam("owner"),
            claimed_until=bindparam("until"),
            attempts=work.attempts + 1,
            starts=work.starts + 1,
            alone_starts=work.alone_starts + bindparam("alone"),
        )
    )


_ASKED = {desk: Prepared(partial(_asking, desk)) for desk in (JOBS, SEGMENTATIONS)}
_TAKE = {desk: Prepared(partial(_taking, desk)) for desk in (JOBS, SEGMENTATIONS)}
_FACES_OF = Prepared(
    lambda dialect: (
        select(
            *(Face.id, Face.image_id, Face.face_index, Face.ordinal, Face.score, Face.angle),
            *(Face.x1, Face.y1, Face.x2, Face.y2, Face.points_5, Face.points_68),
        )
        .where(among(dialect, Face.__table__.c.image_id), Face.status == "accepted")
        .order_by(Face.image_id, Face.face_index)
    )
)
