"""Rows of results: what a stage found and wrote, a chunk in one commit, all or nothing per image."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, bindparam, delete, insert, select, update

from common.database import insert_into, reading
from common.ledger.desks import JOBS, Desk, desk_of
from common.models import Artifact, Chunk, Face, Image, Mask
from common.owner import process_name
from common.pipeline import Stage
from common.version import VERSION

MESSAGE_CHARS = 2000
"""Longest error text kept."""

# The tables, not the classes: an UPDATE of many rows with a WHERE is not one of the ORM.
_IMAGES = cast(Table, Image.__table__)
_FACES = cast(Table, Face.__table__)


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that ended as failed in a stage."""

    image_id: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class FaceRow:
    """A detection to store; the names are those of `common.models.Face`."""

    ordinal: int
    face_index: int | None
    status: str
    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    points_5: list[list[float]] | None
    angle: float = 0.0
    identity_rule: int | None = None
    wanted_distances: list[float] | None = None
    unwanted_distances: list[float] | None = None


@dataclass(frozen=True, slots=True)
class DetectedImage:
    """What the detect stage found in an image; without an accepted face it ends as `missed`."""

    image_id: int
    width: int
    height: int
    faces: tuple[FaceRow, ...]

    @property
    def is_missed(self) -> bool:
        """No face was accepted."""
        return all(face.face_index is None for face in self.faces)


@dataclass(frozen=True, slots=True)
class MaskRow:
    """A drawing decision to store; the names are those of `common.models.Mask`."""

    variant: int
    face_index: int
    kind: str
    mask_type: str
    mask_color: str
    y_offset: float
    rotation_angle: float
    reason: str | None = None
    message: str | None = None
    wear: str | None = None
    texture: str | None = None
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None
    x1: int | None = None
    y1: int | None = None
    x2: int | None = None
    y2: int | None = None
    polygon: list[list[int]] | None = None


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """A written file to store; the names are those of `common.models.Artifact`."""

    position: int
    kind: str
    variant: int | None
    face_index: int | None
    crop_style: str | None
    path: bytes
    size: int
    sha256: str
    pixel_hash: str | None = None


@dataclass(frozen=True, slots=True)
class AugmentedImage:
    """What the augment stage did with an image.

    `points_68` maps face row ids to landmarks, lists of [x, y] in pixels.
    """

    image_id: int
    masks: tuple[MaskRow, ...]
    artifacts: tuple[ArtifactRow, ...]
    points_68: Mapping[int, list[list[float]]]


@dataclass(frozen=True, slots=True)
class ChunkTimes:
    """What one task did, in how many seconds; `cpu` is CPU time by part, `seconds` wall clock."""

    stage: Stage
    images: int
    faces: int
    artifacts: int
    undrawn: int
    started_at: float
    seconds: Mapping[str, float]
    cpu: Mapping[str, float]


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
        rows = [{"image_id": one.image_id, **_values(face)} for one in mine for face in one.faces]
        # Of a file that was replaced since, the faces of the old one may still be there.
        connection.execute(delete(Face).where(Face.image_id.in_([one.image_id for one in mine])))
        if rows:
            connection.execute(insert_into(engine, Face).on_conflict_do_nothing(), rows)
        if mine:
            connection.execute(
                update(_IMAGES)
                .where(Image.id == bindparam("b_id"))
                .values(
                    status=bindparam("b_status"),
                    width=bindparam("b_width"),
                    height=bindparam("b_height"),
                    attempts=bindparam("b_attempts"),
                    finished_at=bindparam("b_finished_at"),
                    detected_by=process_name(owner),
                    version=VERSION,
                    alone_starts=0,
                    claimed_by=None,
                    claimed_until=None,
                    sent_at=now,
                ),
                [
                    {
                        "b_id": one.image_id,
                        "b_status": "missed" if one.is_missed else "detected",
                        "b_width": one.width,
                        "b_height": one.height,
                        # A missed image ends here and shows its attempts; the next stage counts anew.
                        "b_attempts": held[one.image_id] if one.is_missed else 0,
                        "b_finished_at": now if one.is_missed else None,
                    }
                    for one in mine
                ],
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
        masks = [{"image_id": one.image_id, **_values(row)} for one in mine for row in one.masks]
        artifacts = [{"image_id": one.image_id, **_values(row)} for one in mine for row in one.artifacts]
        points = [{"b_id": face, "b_points": found} for one in mine for face, found in one.points_68.items()]
        for table, rows in ((Mask, masks), (Artifact, artifacts)):
            if rows:
                connection.execute(insert_into(engine, table).on_conflict_do_nothing(), rows)
        if points:
            connection.execute(
                update(_FACES).where(Face.id == bindparam("b_id")).values(points_68=bindparam("b_points")),
                points,
            )
        if mine:
            connection.execute(
                update(Image)
                .where(Image.id.in_([one.image_id for one in mine]))
                .values(
                    status="done",
                    augmented_by=process_name(owner),
                    version=VERSION,
                    finished_at=now,
                    alone_starts=0,
                    claimed_by=None,
                    claimed_until=None,
                )
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
        for row in connection.execute(
            select(Artifact.image_id, Artifact.path).where(Artifact.image_id.in_(ids))
        ):
            recorded.setdefault(row.image_id, set()).add(row.path)
    return recorded


def still_held(connection: Connection, ids: Sequence[int], owner: str, desk: Desk = JOBS) -> dict[int, int]:
    """Id → attempts of the images that this owner still holds, locked."""
    work = desk.work.c
    rows = connection.execute(
        select(work.id, work.attempts)
        .where(work.id.in_(ids), work.claimed_by == owner, work.status.in_(tuple(desk.stage_of)))
        .order_by(work.id)
        .with_for_update()
    )
    return {row.id: row.attempts for row in rows}


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
    connection.execute(
        insert(Chunk).values(
            job_id=job_id,
            stage=times.stage,
            worker=process_name(owner),
            images=times.images,
            faces=times.faces,
            artifacts=times.artifacts,
            undrawn=times.undrawn,
            started_at=times.started_at,
            seconds={**_rounded(times.seconds), "cpu_parts": _rounded(times.cpu)},
        )
    )


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {part: round(value, 6) for part, value in seconds.items()}


_NAMES = {kind: tuple(one.name for one in fields(kind)) for kind in (FaceRow, MaskRow, ArtifactRow)}


def _values(row: FaceRow | MaskRow | ArtifactRow) -> dict[str, Any]:
    """Name → value; `dataclasses.asdict` would copy every list of points, in twenty times the time."""
    return {name: getattr(row, name) for name in _NAMES[type(row)]}
