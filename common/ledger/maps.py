"""Rows of maps: one per face and masker, stored with what became of the images of a segmentation."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, case, func, select, update

from common.database import insert_into, reading
from common.ledger.desks import SEGMENTATIONS
from common.ledger.jobs import RecordedJob
from common.ledger.results import note_failures, note_times, still_held
from common.ledger.rows import ChunkTimes, Failure
from common.ledger.segments import RecordedRun
from common.models import Face, Image, Segmentation, SegmentImage
from common.owner import process_name
from common.pipeline import OPEN_STATES
from common.version import VERSION


@dataclass(frozen=True, slots=True)
class FaceMap:
    """A map to store; the names are those of `common.models.Segmentation`."""

    face_id: int
    side: int
    map: bytes
    matrix: list[list[float]]


@dataclass(frozen=True, slots=True)
class SegmentedImage:
    """What became of one image; `id` is that of its row in the segmentation."""

    id: int
    maps: tuple[FaceMap, ...] = ()
    left_out: int = 0
    previews: int = 0


@dataclass(frozen=True, slots=True)
class RunTotals:
    """Sums over the images of a segmentation; see `common.models.SegmentImage`."""

    images: int
    failed: int
    open: int
    faces: int
    updated: int
    kept: int
    left_out: int
    previews: int


def stored_maps(engine: Engine, masker: str, face_ids: Sequence[int]) -> dict[int, FaceMap]:
    """Face id → its map by a masker, of those that have one."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(Segmentation.__table__).where(
                Segmentation.masker == masker, Segmentation.face_id.in_(face_ids)
            )
        )
        return {row.face_id: FaceMap(row.face_id, row.side, row.map, row.matrix) for row in rows}


def maps_of(engine: Engine, image_ids: Sequence[int], masker: str | None = None) -> dict[int, list[Row[Any]]]:
    """Image id → its maps with `face_index`, by masker and face; of all maskers or one."""
    query = (
        select(Face.image_id, Face.face_index, Segmentation.__table__)
        .join(Segmentation, Segmentation.face_id == Face.id)
        .where(Face.image_id.in_(image_ids))
        .order_by(Face.image_id, Segmentation.masker, Face.face_index)
    )
    if masker is not None:
        query = query.where(Segmentation.masker == masker)
    found: dict[int, list[Row[Any]]] = {}
    with reading(engine) as connection:
        for row in connection.execute(query):
            found.setdefault(row.image_id, []).append(row)
    return found


def has_maps(engine: Engine, job: RecordedJob, masker: str) -> bool:
    """Some face of a job has a map by a masker."""
    query = (
        select(Segmentation.id)
        .join(Face, Face.id == Segmentation.face_id)
        .join(Image, Image.id == Face.image_id)
        .where(Image.job_id == job.id, Segmentation.masker == masker)
        .limit(1)
    )
    with reading(engine) as connection:
        return connection.execute(query).first() is not None


def store_segmented(
    engine: Engine,
    run: RecordedRun,
    segmented: Sequence[SegmentedImage],
    failures: Sequence[Failure],
    *,
    owner: str,
    times: ChunkTimes,
) -> None:
    """Record a chunk; every picture that it wrote is on disk already.

    Images that this process no longer holds are left as they are. With `all` a map replaces the one that is
    there, otherwise the first one stays.
    """
    now = time.time()
    with engine.begin() as connection:
        ids = [*(one.id for one in segmented), *(one.image_id for one in failures)]
        held = still_held(connection, ids, owner, SEGMENTATIONS)
        mine = [one for one in segmented if one.id in held]
        stored = _store_maps(connection, engine, run, mine, now)
        if mine:
            work = SEGMENTATIONS.work
            connection.execute(
                update(work)
                .where(work.c.id == bindparam("b_id"))
                .values(
                    status="done",
                    updated=bindparam("b_updated"),
                    kept=work.c.faces - bindparam("b_updated") - bindparam("b_left_out"),
                    left_out=bindparam("b_left_out"),
                    previews=bindparam("b_previews"),
                    segmented_by=process_name(owner),
                    version=VERSION,
                    finished_at=now,
                    alone_starts=0,
                    claimed_by=None,
                    claimed_until=None,
                ),
                [
                    {
                        "b_id": one.id,
                        "b_updated": sum(face_map.face_id in stored for face_map in one.maps),
                        "b_left_out": one.left_out,
                        "b_previews": one.previews,
                    }
                    for one in mine
                ],
            )
        note_failures(connection, [one for one in failures if one.image_id in held], "segment", owner, now)
        note_times(connection, run.job.id, owner, times)


def _store_maps(
    connection: Connection, engine: Engine, run: RecordedRun, segmented: Sequence[SegmentedImage], now: float
) -> set[int]:
    """Write maps by face; returns the faces whose map is new."""
    maps = {face_map.face_id: face_map for one in segmented for face_map in one.maps}
    masker = run.request.masker
    # An image that has changed meanwhile has lost its faces.
    wanted = set(connection.scalars(select(Face.id).where(Face.id.in_(maps))))
    if run.request.mode != "all":
        wanted -= set(
            connection.scalars(
                select(Segmentation.face_id).where(
                    Segmentation.masker == masker, Segmentation.face_id.in_(maps)
                )
            )
        )
    if not wanted:
        return set()
    _write_maps(
        connection,
        engine,
        masker,
        [maps[one] for one in sorted(wanted)],
        now,
        replace=run.request.mode == "all",
    )
    return wanted


def faces_by_place(engine: Engine, image_ids: Collection[int]) -> dict[tuple[int, int], int]:
    """(image id, face index) → face id, of the accepted faces of some images."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(Face.image_id, Face.face_index, Face.id).where(
                Face.image_id.in_(image_ids), Face.face_index.is_not(None)
            )
        )
        return {(row.image_id, row.face_index): row.id for row in rows}


def replace_maps(engine: Engine, masker: str, maps: Sequence[FaceMap]) -> None:
    """Give faces these maps by a masker, whether they have one or not; one commit."""
    if not maps:
        return
    with engine.begin() as connection:
        _write_maps(connection, engine, masker, maps, time.time(), replace=True)


def _write_maps(
    connection: Connection, engine: Engine, masker: str, maps: Sequence[FaceMap], now: float, *, replace: bool
) -> None:
    """Write maps of faces that are there; one that is there already is replaced, or stays."""
    statement = insert_into(engine, Segmentation)
    if replace:
        fresh = {name: statement.excluded[name] for name in ("side", "map", "matrix", "made_at")}
        statement = statement.on_conflict_do_update(index_elements=["face_id", "masker"], set_=fresh)
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement, [{**asdict(one), "masker": masker, "made_at": now} for one in maps])


def run_totals(engine: Engine, run: RecordedRun) -> RunTotals:
    """What became of the faces of a segmentation so far."""
    row = SegmentImage
    sums = [func.coalesce(func.sum(one), 0) for one in (row.faces, row.updated, row.kept, row.left_out)]
    with reading(engine) as connection:
        found = connection.execute(
            select(
                func.count(),
                func.coalesce(func.sum(case((row.status == "failed", 1), else_=0)), 0),
                func.coalesce(func.sum(case((row.status.in_(OPEN_STATES), 1), else_=0)), 0),
                *sums,
                func.coalesce(func.sum(row.previews), 0),
            ).where(row.run_id == run.id)
        ).one()
    return RunTotals(*map(int, found))


def failed_images(engine: Engine, run: RecordedRun, limit: int) -> list[tuple[bytes, str, str]]:
    """(relative path, code, message) of images that failed, at most so many."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(Image.relative_path, SegmentImage.error_code, SegmentImage.error_message)
            .join(Image, Image.id == SegmentImage.image_id)
            .where(SegmentImage.run_id == run.id, SegmentImage.status == "failed")
            .order_by(SegmentImage.id)
            .limit(limit)
        )
        return [(row.relative_path, row.error_code, row.error_message) for row in rows]
