"""Which face row a crop file belongs to: asked by what the file says, or by its pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, and_, or_, select

from common.crop_record import CropRecord
from common.database import reading
from common.escaping import unescape
from common.models import Artifact, Face, Image, Job
from common.options import make_options

_BOX_TOLERANCE = 0.01
"""Pixels: boxes are stored in steps of this size."""


@dataclass(frozen=True, slots=True)
class KnownFace:
    """A face row, and which crop of it a file is."""

    face_id: int
    image_id: int
    job_id: int
    face_index: int
    variant: int | None
    crop_style: str


def faces_of_records(engine: Engine, asked: Sequence[tuple[bytes, CropRecord]]) -> list[KnownFace | None]:
    """The face row of each record; None where there is none.

    A row fits when its job has the record's options, its image the record's path, and its box is the record's.
    Of several jobs, the one whose output the file lies in is taken, else the latest.

    Args:
        asked: absolute path of the file, and its record.
    """
    paths = sorted({unescape(record.relative_path) for _, record in asked})
    query: Any = (
        select(
            Face.id,
            Face.image_id,
            Face.face_index,
            *(Face.x1, Face.y1, Face.x2, Face.y2),
            Image.job_id,
            Image.relative_path,
            Job.output,
            Job.options,
        )
        .join(Image, Image.id == Face.image_id)
        .join(Job, Job.id == Image.job_id)
        .where(Image.relative_path.in_(paths), Face.face_index.is_not(None))
        .order_by(Image.job_id)
    )
    rows: dict[tuple[bytes, int], list[Row[Any]]] = {}
    with reading(engine) as connection:
        for row in connection.execute(query).all():
            rows.setdefault((row.relative_path, row.face_index), []).append(row)
    keys: dict[int, str] = {}
    return [_best(path, record, rows, keys) for path, record in asked]


def _best(
    path: bytes, record: CropRecord, rows: dict[tuple[bytes, int], list[Row[Any]]], keys: dict[int, str]
) -> KnownFace | None:
    best: Row[Any] | None = None
    for row in rows.get((unescape(record.relative_path), record.face_index), []):
        if row.job_id not in keys:
            keys[row.job_id] = make_options(row.options).key
        box = (row.x1, row.y1, row.x2, row.y2)
        is_same_box = all(abs(a - b) <= _BOX_TOLERANCE for a, b in zip(box, record.box, strict=True))
        is_inside = path.startswith(row.output.rstrip(b"/") + b"/")
        if keys[row.job_id] == record.job and is_same_box and (best is None or is_inside):
            best = row
            if is_inside:
                break
    if best is None:
        return None
    return KnownFace(
        best.id, best.image_id, best.job_id, record.face_index, record.variant, record.crop_style
    )


def faces_of_crops(
    engine: Engine, *, pixel_hashes: Iterable[str], sha256s: Iterable[str]
) -> dict[str, KnownFace]:
    """Pixel hash, or SHA-256 of a file → the face that a crop with it was cut from; the latest of several."""
    query = (
        select(
            Artifact.pixel_hash,
            Artifact.sha256,
            Artifact.image_id,
            Artifact.face_index,
            Artifact.variant,
            Artifact.crop_style,
            Face.id.label("face_id"),
            Image.job_id,
        )
        .join(Face, and_(Face.image_id == Artifact.image_id, Face.face_index == Artifact.face_index))
        .join(Image, Image.id == Artifact.image_id)
        .where(
            Artifact.kind == "crop",
            or_(Artifact.pixel_hash.in_(list(pixel_hashes)), Artifact.sha256.in_(list(sha256s))),
        )
        .order_by(Image.job_id, Artifact.id)
    )
    found: dict[str, KnownFace] = {}
    with reading(engine) as connection:
        for row in connection.execute(query):
            known = KnownFace(
                row.face_id, row.image_id, row.job_id, row.face_index, row.variant, row.crop_style
            )
            found[row.sha256] = known
            if row.pixel_hash is not None:
                found[row.pixel_hash] = known
    return found
