"""How Alembic reaches the database: by `alembic` (the settings' URL) or by `maskmill db upgrade`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from common.database import engine_for
from common.models import Base
from common.settings import read_settings

_UPGRADE_LOCK = 0x6D61736B
"""PostgreSQL's advisory lock of an upgrade: "mask" in ASCII."""


def _migrate(connection: Connection) -> None:
    """In the connection's one transaction, which is SQLite's write lock: others see the old schema or the new one."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADE_LOCK})"))
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    context.run_migrations()


url = context.config.attributes.get("url") or read_settings().database_url
with engine_for(url).begin() as migrating:
    _migrate(migrating)
