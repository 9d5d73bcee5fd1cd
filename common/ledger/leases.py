"""Leases: one process at a time, without a lock that could outlive it."""

from __future__ import annotations

import time

from sqlalchemy import Engine, delete, or_, select

from common.database import insert_into
from common.models import Lease
from common.owner import is_known_dead


def take_lease(engine: Engine, name: str, holder: str, for_s: float) -> bool:
    """Take or renew a lease; false while another process holds it.

    Args:
        holder: from `this_owner()`; a holder that is known to be dead holds nothing.
        for_s: how long it holds without being renewed.
    """
    now = time.time()
    with engine.begin() as connection:
        row = connection.execute(select(Lease.holder).where(Lease.name == name)).one_or_none()
        is_orphan = row is not None and is_known_dead(row.holder)
        statement = insert_into(engine, Lease).values(name=name, holder=holder, until=now + for_s)
        conditions = [Lease.until < now, Lease.holder == holder]
        if row is not None and is_orphan:
            conditions.append(Lease.holder == row.holder)
        statement = statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "until": now + for_s},
            where=or_(*conditions),
        )
        return connection.execute(statement.returning(Lease.name)).first() is not None


def drop_lease(engine: Engine, name: str, holder: str) -> None:
    """Give a lease back."""
    with engine.begin() as connection:
        connection.execute(delete(Lease).where(Lease.name == name, Lease.holder == holder))
