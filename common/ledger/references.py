"""Rows of reference pictures: stored once at the door, read by every worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Engine, func, select

from common.database import insert_into, reading
from common.identity import ReferenceList
from common.models import Face, IdentityReference, Image


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """A reference to store; the names are those of `common.models.IdentityReference`."""

    list: ReferenceList
    path: bytes
    sha256: str
    embedder: str
    embedding: bytes
    faces: int
    x1: float
    y1: float
    x2: float
    y2: float


def store_references(engine: Engine, job_id: int, rows: Sequence[ReferenceRow]) -> None:
    """Record the references of a job; those that are there stay."""
    if rows:
        values = [{"job_id": job_id, **asdict(row)} for row in rows]
        with engine.begin() as connection:
            connection.execute(insert_into(engine, IdentityReference).on_conflict_do_nothing(), values)


def find_references(engine: Engine, job_id: int) -> list[ReferenceRow]:
    """The references of a job, in the order of their ids."""
    table = IdentityReference
    columns = [getattr(table, name) for name in ReferenceRow.__dataclass_fields__]
    with reading(engine) as connection:
        rows = connection.execute(select(*columns).where(table.job_id == job_id).order_by(table.id)).all()
    return [ReferenceRow(*row) for row in rows]


def count_decisions(engine: Engine, job_id: int) -> dict[int, int]:
    """Rule → faces of a job that it decided; without those rejected before."""
    with reading(engine) as connection:
        rows = connection.execute(
            select(Face.identity_rule, func.count())
            .join(Image, Image.id == Face.image_id)
            .where(Image.job_id == job_id, Face.identity_rule.is_not(None))
            .group_by(Face.identity_rule)
            .order_by(Face.identity_rule)
        ).all()
    return {rule: count for rule, count in rows if rule is not None}
