"""Rows of results: what a stage found and wrote, a chunk in one commit, all or nothing per image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from operator import attrgetter
from typing import Any, TypeAlias, cast

from sqlalchemy import (
    JSON,
    Connection,
    Dialect,
    Engine,
    Executable,
    Table,
    bindparam,
    delete,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from common.database import reading
from common.ledger.desks import JOBS, SEGMENTATIONS, Desk, desk_of
from common.ledger.rows import (
    ArtifactRow,
    AugmentedImage,
    ChunkTimes,
    DetectedImage,
    FaceRow,
    Failure,
    MaskRow,
)
from common.models import Artifact, Chunk, Face, Image, Mask
from common.owner import process_name
from common.pipeline import Stage
from common.statements import ManyRows, Prepared, Source, among, insert_rows, to_json
from common.version import VERSION

MESSAGE_CHARS = 2000
"""Longest error text kept."""

# The tables, not the classes: an UPDATE of many rows with a WHERE is not one of the ORM.
_IMAGES = cast(Table, Image.__table__)
_FACES = cast(Table, Face.__table__)


def store_detections(
    engine: Engine,
    job_id: int,
    detected: Sequence[DetectedImage],
    failures: Sequence[Failure],
    *,
    owner: str,
    times: ChunkTimes,
) -> list[int]:
    """Record a detected chunk; returns the ids that now wait for the augment stage.

    Images that this process no longer holds are left as they are: the first writer wins.
    """
    now = time.time()
    with engine.begin() as connection:
        held = still_held(
            connection, [*(one.image_id for one in detected), *(f.image_id for f in failures)], owner
        )
        mine = [one for one in detected if one.image_id in held]
        if mine:
            # Of a file that was replaced since, the faces of the old one may still be there.
            _DELETE_FACES.run(connection, ids=[one.image_id for one in mine])
            _INSERT[FaceRow].run(
                connection, [_values(one.image_id, face) for one in mine for face in one.faces]
            )
            _DETECTED.run(
                connection,
                [
                    # A missed image ends here and shows its attempts; the next stage counts anew.
                    (one.image_id, "missed", one.width, one.height, held[one.image_id], now)
                    if one.is_missed
                    else (one.image_id, "detected", one.width, one.height, 0, None)
                    for one in mine
                ],
                detected_by=process_name(owner),
                sent_at=now,
            )
        note_failures(connection, [one for one in failures if one.image_id in held], "detect", owner, now)
        note_times(connection, job_id, owner, times)
    return [one.image_id for one in mine if not one.is_missed]


def store_augmented(
    engine: Engine,
    job_id: int,
    augmented: Sequence[AugmentedImage],
    failures: Sequence[Failure],
    *,
    owner: str,
    times: ChunkTimes,
) -> None:
    """Record an augmented chunk; every file it names is on disk already."""
    now = time.time()
    with engine.begin() as connection:
        held = still_held(
            connection, [*(one.image_id for one in augmented), *(f.image_id for f in failures)], owner
        )
        mine = [one for one in augmented if one.image_id in held]
        _INSERT[MaskRow].run(connection, [_values(one.image_id, row) for one in mine for row in one.masks])
        _INSERT[ArtifactRow].run(
            connection, [_values(one.image_id, row) for one in mine for row in one.artifacts]
        )
        _POINTS.run(
            connection, [(face, to_json(found)) for one in mine for face, found in one.points_68.items()]
        )
        if mine:
            _DONE.run(
                connection,
                ids=[one.image_id for one in mine],
                augmented_by=process_name(owner),
                finished_at=now,
            )
        note_failures(connection, [one for one in failures if one.image_id in held], "augment", owner, now)
        note_times(connection, job_id, owner, times)


def store_failures(engine: Engine, stage: Stage, failures: Sequence[Failure], *, owner: str) -> None:
    """Record images that failed before their chunk had any result."""
    with engine.begin() as connection:
        held = still_held(connection, [one.image_id for one in failures], owner, desk_of(stage))
        note_failures(
            connection, [one for one in failures if one.image_id in held], stage, owner, time.time()
        )


def recorded_artifacts(engine: Engine, ids: Sequence[int]) -> dict[int, set[bytes]]:
    """Image id → paths of the artifacts that it already has."""
    recorded: dict[int, set[bytes]] = {}
    with reading(engine) as connection:
        for image_id, path in _ARTIFACTS_OF.run(connection, ids=ids):
            recorded.setdefault(image_id, set()).add(bytes(path))
    return recorded


def still_held(connection: Connection, ids: Sequence[int], owner: str, desk: Desk = JOBS) -> dict[int, int]:
    """Id → attempts of the images that this owner still holds, locked."""
    return dict(iter(_HELD[desk].run(connection, ids=ids, owner=owner)))


def note_failures(
    connection: Connection, failures: Sequence[Failure], stage: Stage, owner: str, now: float
) -> None:
    if not failures:
        return
    column = {"detect": "detected_by", "augment": "augmented_by", "segment": "segmented_by"}[stage]
    work = desk_of(stage).work
    fixed: dict[str, Any] = {
        "status": "failed",
        "error_stage": stage,
        column: process_name(owner),
        "version": VERSION,
        "finished_at": now,
        "claimed_by": None,
        "claimed_until": None,
    }
    connection.execute(
        update(work)
        .where(work.c.id == bindparam("b_id"))
        .values(error_code=bindparam("b_code"), error_message=bindparam("b_message"), **fixed),
        [{"b_id": one.image_id, "b_code": one.code, "b_message": storable(one.message)} for one in failures],
    )


def storable(message: str) -> str:
    """Text that every database takes: no NUL, no lone surrogate, bounded."""
    return message.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")[:MESSAGE_CHARS]


def note_times(connection: Connection, job_id: int, owner: str, times: ChunkTimes) -> None:
    _NOTE_TIMES.run(
        connection,
        job_id=job_id,
        stage=times.stage,
        worker=process_name(owner),
        images=times.images,
        faces=times.faces,
        artifacts=times.artifacts,
        undrawn=times.undrawn,
        started_at=times.started_at,
        seconds=to_json({**_rounded(times.seconds), "cpu_parts": _rounded(times.cpu)}),
    )


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {part: round(value, 6) for part, value in seconds.items()}


_Result: TypeAlias = FaceRow | MaskRow | ArtifactRow

_TABLES: dict[type[_Result], Table] = {
    FaceRow: cast(Table, Face.__table__),
    MaskRow: cast(Table, Mask.__table__),
    ArtifactRow: cast(Table, Artifact.__table__),
}
_FIELDS = {kind: tuple(one.name for one in fields(kind)) for kind in _TABLES}
_GETTERS = {kind: attrgetter(*names) for kind, names in _FIELDS.items()}
_JSON_PLACES = {
    kind: [place for place, name in enumerate(names, 1) if isinstance(_TABLES[kind].c[name].type, JSON)]
    for kind, names in _FIELDS.items()
}


def _values(image_id: int, row: _Result) -> tuple[Any, ...]:
    """The image's id and the fields as the columns take them."""
    kind = type(row)
    values = (image_id, *_GETTERS[kind](row))
    places = _JSON_PLACES[kind]
    if not places:
        return values
    changed = list(values)
    for place in places:
        if changed[place] is not None:
            changed[place] = to_json(changed[place])
    return tuple(changed)


def _inserting(table: Table) -> Callable[[Dialect, Source], Executable]:
    return lambda dialect, source: insert_rows(dialect, table, source).on_conflict_do_nothing()


_INSERT = {
    kind: ManyRows(_inserting(table), [table.c.image_id, *(table.c[name] for name in _FIELDS[kind])])
    for kind, table in _TABLES.items()
}
_DELETE_FACES = Prepared(lambda dialect: delete(_FACES).where(among(dialect, _FACES.c.image_id)))
_ARTIFACTS_OF = Prepared(
    lambda dialect: select(Artifact.image_id, Artifact.path).where(
        among(dialect, _TABLES[ArtifactRow].c.image_id)
    )
)
_POINTS = ManyRows(
    lambda _dialect, source: (
        update(_FACES).where(_FACES.c.id == source["id"]).values(points_68=source["points_68"])
    ),
    [_FACES.c.id, _FACES.c.points_68],
)
_DETECTED_COLUMNS = ("status", "width", "height", "attempts", "finished_at")
_DETECTED = ManyRows(
    lambda _dialect, source: (
        update(_IMAGES)
        .where(_IMAGES.c.id == source["id"])
        .values(
            **{name: source[name] for name in _DETECTED_COLUMNS},
            detected_by=source["detected_by"],
            sent_at=source["sent_at"],
            version=literal_column(f"'{VERSION}'"),
            alone_starts=literal_column("0"),
            claimed_by=null(),
            claimed_until=null(),
        )
    ),
    [_IMAGES.c.id, *(_IMAGES.c[name] for name in _DETECTED_COLUMNS)],
    {"detected_by": _IMAGES.c.detected_by.type, "sent_at": _IMAGES.c.sent_at.type},
)
_DONE = Prepared(
    lambda dialect: (
        update(_IMAGES)
        .where(among(dialect, _IMAGES.c.id))
        .values(
            status="done",
            augmented_by=bindparam("augmented_by"),
            version=VERSION,
            finished_at=bindparam("finished_at"),
            alone_starts=0,
            claimed_by=None,
            claimed_until=None,
        )
    )
)


def _holding(desk: Desk, dialect: Dialect) -> Executable:
    work = desk.work.c
    is_open = or_(*(work.status == state for state in desk.stage_of))
    query = select(work.id, work.attempts).where(
        among(dialect, work.id), work.claimed_by == bindparam("owner"), is_open
    )
    return query.order_by(work.id).with_for_update()


_HELD = {desk: Prepared(partial(_holding, desk)) for desk in (JOBS, SEGMENTATIONS)}
_CHUNKS = cast(Table, Chunk.__table__)
_NOTE_TIMES = Prepared(
    lambda _dialect: insert(_CHUNKS).values(
        {one.name: bindparam(one.name, type_=one.type) for one in _CHUNKS.c if one.name != "id"}
    )
)
