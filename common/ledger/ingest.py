"""Rows rebuilt from crops that say where they come from; a row that is there stays."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, bindparam, insert, select, update

from common.crop_record import CropRecord, MaskPart
from common.database import insert_into
from common.escaping import unescape
from common.models import Artifact, Chunk, Face, Image, Mask
from common.styles import CROP_STYLES

_ARTIFACTS = cast(Table, Artifact.__table__)


@dataclass(frozen=True, slots=True)
class FoundCrop:
    """One crop file: its record, and what its artifact row says; `path` is relative to the job's output."""

    record: CropRecord
    path: bytes
    size: int
    sha256: str
    pixel_hash: str


@dataclass(frozen=True, slots=True)
class Added:
    """How many rows were new."""

    images: int = 0
    faces: int = 0
    masks: int = 0
    artifacts: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(
            self.images + other.images,
            self.faces + other.faces,
            self.masks + other.masks,
            self.artifacts + other.artifacts,
        )


def store_crops(
    engine: Engine, job_id: int, input_id: int, crops: Sequence[FoundCrop], *, worker: str
) -> tuple[Added, list[FoundCrop]]:
    """Record crops in one commit: images, faces, masks and artifacts that have no row yet.

    An artifact whose file has changed gets its new size and hashes.

    Returns:
        What was new, and the crops that have no place: another source has their relative path or their stem.
    """
    started_at = time.time()
    with engine.begin() as connection:
        images = _Images(engine, connection, job_id, input_id, crops)
        placed = [crop for crop in crops if images.has(crop)]
        faces = _insert(engine, connection, Face, ("ordinal",), [images.face_row(crop) for crop in placed])
        masks = [images.mask_row(crop) for crop in placed if crop.record.mask is not None]
        masked = _insert(engine, connection, Mask, ("variant", "face_index"), masks)
        artifacts = [images.artifact_row(crop) for crop in placed]
        written = _insert(engine, connection, Artifact, ("path",), artifacts)
        _renew(connection, artifacts)
        added = Added(images.added, faces, masked, written)
        _note(connection, job_id, worker, added, started_at)
    return added, [crop for crop in crops if not images.has(crop)]


class _Images:
    """The image rows of some crops, opened as done where there are none."""

    def __init__(
        self, engine: Engine, connection: Connection, job_id: int, input_id: int, crops: Sequence[FoundCrop]
    ) -> None:
        wanted: dict[bytes, CropRecord] = {}
        for crop in crops:  # the first of a path says what its source is
            wanted.setdefault(unescape(crop.record.relative_path), crop.record)
        query = select(Image.relative_path, Image.id, Image.written).where(
            Image.job_id == job_id, Image.relative_path.in_(list(wanted))
        )
        before = {row.relative_path for row in connection.execute(query)}
        now = time.time()
        rows = [
            {
                "job_id": job_id,
                "input_id": input_id,
                "relative_path": path,
                "stem": unescape(record.stem),
                "written": unescape(record.image_path),
                "status": "done",
                "attempts": 0,
                "alone_starts": 0,
                "width": record.image_size[0],
                "height": record.image_size[1],
                "finished_at": now,
            }
            for path, record in wanted.items()
            if path not in before
        ]
        if rows:
            connection.execute(insert_into(engine, Image).on_conflict_do_nothing(), rows)
        self._rows = {row.relative_path: row for row in connection.execute(query).all()}
        self.added = len(self._rows) - len(before)

    def has(self, crop: FoundCrop) -> bool:
        """The image of its path is this crop's source; one that a job of its own recorded is taken for it."""
        row = self._rows.get(unescape(crop.record.relative_path))
        return row is not None and row.written in (None, unescape(crop.record.image_path))

    def _id_of(self, record: CropRecord) -> int:
        return int(self._rows[unescape(record.relative_path)].id)

    def face_row(self, crop: FoundCrop) -> dict[str, Any]:
        record = crop.record
        x1, y1, x2, y2 = record.box
        return {
            "image_id": self._id_of(record),
            "ordinal": record.ordinal,
            "face_index": record.face_index,
            "status": "accepted",
            "x1": x1,
            "y1": y1,
            "x2": x2,
            "y2": y2,
            "score": 0.0 if record.score is None else record.score,
            "angle": record.angle,
            "points_5": _lists(record.points_5),
            "points_68": _lists(record.points_68),
        }

    def mask_row(self, crop: FoundCrop) -> dict[str, Any]:
        record, mask = crop.record, cast(MaskPart, crop.record.mask)
        x1, y1, x2, y2 = mask.box or (None, None, None, None)
        return {
            "image_id": self._id_of(record),
            "variant": record.variant,
            "face_index": record.face_index,
            **mask.model_dump(exclude={"box", "polygon"}),
            "x1": x1,
            "y1": y1,
            "x2": x2,
            "y2": y2,
            "polygon": _lists(mask.polygon),
        }

    def artifact_row(self, crop: FoundCrop) -> dict[str, Any]:
        record = crop.record
        style = CROP_STYLES.index(record.crop_style)
        variant = 0 if record.variant is None else record.variant + 1
        return {
            "image_id": self._id_of(record),
            # In the order of `common.artifacts`: variant, face, style.
            "position": (variant * record.faces + record.face_index) * len(CROP_STYLES) + style,
            "kind": "crop",
            "variant": record.variant,
            "face_index": record.face_index,
            "crop_style": record.crop_style,
            "path": crop.path,
            "size": crop.size,
            "sha256": crop.sha256,
            "pixel_hash": crop.pixel_hash,
        }


def _insert(
    engine: Engine, connection: Connection, table: Any, key: tuple[str, ...], rows: Sequence[dict[str, Any]]
) -> int:
    """Insert the rows whose (image_id, key) is not there; returns how many those are."""
    columns = (table.image_id, *(getattr(table, name) for name in key))
    ids = sorted({row["image_id"] for row in rows})
    there = {tuple(row) for row in connection.execute(select(*columns).where(table.image_id.in_(ids)))}
    missing: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        place = tuple(row[name] for name in ("image_id", *key))
        if place not in there:
            missing.setdefault(place, row)
    if missing:
        connection.execute(insert_into(engine, table).on_conflict_do_nothing(), list(missing.values()))
    return len(missing)


def _renew(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Give artifact rows the size and hashes that their files have now."""
    if rows:
        connection.execute(
            update(_ARTIFACTS)
            .where(Artifact.image_id == bindparam("b_image"), Artifact.path == bindparam("b_path"))
            .values(size=bindparam("b_size"), sha256=bindparam("b_sha"), pixel_hash=bindparam("b_pixels")),
            [
                {
                    "b_image": row["image_id"],
                    "b_path": row["path"],
                    "b_size": row["size"],
                    "b_sha": row["sha256"],
                    "b_pixels": row["pixel_hash"],
                }
                for row in rows
            ],
        )


def _lists(points: Sequence[tuple[Any, ...]] | None) -> list[list[Any]] | None:
    return None if points is None else [list(point) for point in points]


def _note(connection: Connection, job_id: int, worker: str, added: Added, started_at: float) -> None:
    """What `status` counts, as a worker notes it."""
    if added == Added():
        return
    common = {"job_id": job_id, "worker": worker, "undrawn": 0, "started_at": started_at}
    seconds = {"total": round(time.time() - started_at, 6)}
    counts = {"images": added.images, "faces": added.faces, "seconds": seconds}
    connection.execute(insert(Chunk).values(**common, **counts, stage="detect", artifacts=0))
    connection.execute(insert(Chunk).values(**common, **counts, stage="augment", artifacts=added.artifacts))
