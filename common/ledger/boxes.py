"""Rows of boxes that the user gives (`--boxes`): written once when a job is opened, read by the detect stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import islice

from sqlalchemy import Engine, insert, select

from common.database import reading
from common.models import GivenBox

_BATCH = 5000


@dataclass(frozen=True, slots=True)
class GivenFace:
    """One box; the names are those of `common.models.GivenBox`."""

    path: bytes
    line: int
    x1: float
    y1: float
    x2: float
    y2: float
    score: float = 1.0
    angle: float = 0.0
    points_5: list[list[float]] | None = None


def record_boxes(engine: Engine, job_id: int, boxes: Iterable[GivenFace]) -> int:
    """Write the boxes of a job in one commit, all or none; returns how many. A job that has some keeps them."""
    count = 0
    with engine.begin() as connection:
        if connection.execute(select(GivenBox.id).where(GivenBox.job_id == job_id).limit(1)).first():
            return 0
        iterator = iter(boxes)
        while batch := list(islice(iterator, _BATCH)):
            connection.execute(insert(GivenBox), [{"job_id": job_id, **_values(one)} for one in batch])
            count += len(batch)
    return count


def boxes_of(engine: Engine, job_id: int, paths: Sequence[bytes]) -> dict[bytes, list[GivenFace]]:
    """Path → its boxes in the order in which they were given; a path without boxes is not in it."""
    found: dict[bytes, list[GivenFace]] = {}
    query = (
        select(GivenBox.__table__)
        .where(GivenBox.job_id == job_id, GivenBox.path.in_(paths))
        .order_by(GivenBox.path, GivenBox.line)
    )
    with reading(engine) as connection:
        for row in connection.execute(query):
            path = bytes(row.path)
            box = GivenFace(
                path, row.line, row.x1, row.y1, row.x2, row.y2, row.score, row.angle, row.points_5
            )
            found.setdefault(path, []).append(box)
    return found


_NAMES = tuple(field.name for field in fields(GivenFace))


def _values(box: GivenFace) -> dict[str, object]:
    # Not `asdict`: it copies the points deeply.
    return {name: getattr(box, name) for name in _NAMES}
