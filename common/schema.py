"""The schema: what revision a database has, and how it comes to that of this version.

Alembic is imported where a database is upgraded only: it takes 0.15 s, which every worker would wait.
"""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from common.database import engine_for, first_line, reading
from common.errors import UnfitError, UsageError
from common.settings import hide_secret

REVISION = "0011"
"""Of this version: the newest one in `migrations`."""


def upgrade(url: str) -> None:
    """Bring a database to the schema of this version; one process at a time does it, the others wait.

    One that has it already is only read: on SQLite that waits for nobody.

    Raises:
        UnfitError: the database does not answer or may not be changed.
    """
    try:
        if not is_current(url):
            _run_migrations(url)
    except DBAPIError as exc:
        raise UnfitError(f"the database {hide_secret(url)} cannot be upgraded: {first_line(exc)}") from exc


def _run_migrations(url: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    with resources.as_file(resources.files("migrations")) as folder:
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["url"] = url
    try:
        command.upgrade(config, REVISION)
    except CommandError as exc:
        raise UnfitError(f"the database {hide_secret(url)} cannot be upgraded: {first_line(exc)}") from exc


def revision(url: str) -> str | None:
    """The revision of a database; None: it has no tables of ours.

    Raises:
        DBAPIError: it does not answer.
    """
    if _is_absent_file(url):
        return None
    with reading(engine_for(url)) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return found


def is_current(url: str) -> bool:
    """The schema of a database is that of this version."""
    return revision(url) == REVISION


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as exc:
        raise UsageError(
            f"the database URL {hide_secret(url)} is not understood: expected postgresql://… or sqlite:////…"
        ) from exc


def _is_absent_file(url: str) -> bool:
    """A SQLite file that is not there; connecting would make it."""
    parsed = _parse(url)
    return (
        parsed.get_backend_name() == "sqlite"
        and bool(parsed.database)
        and parsed.database != ":memory:"
        and not Path(str(parsed.database)).exists()
    )


def require_current(url: str) -> None:
    """Refuse a database whose schema is not that of this version.

    Raises:
        UnfitError: it does not answer, is empty or out of date; the message says what to do.
    """
    try:
        found = revision(url)
    except DBAPIError as exc:
        raise UnfitError(
            f"the database {hide_secret(url)} does not answer ({first_line(exc)}); "
            "start it or set MASKMILL_DATABASE_URL"
        ) from exc
    if found != REVISION:
        state = (
            "has no maskmill tables"
            if found is None
            else f"has schema {found}, this version needs {REVISION}"
        )
        # SQLite has no secret, and may be that of an output instead of the configured one.
        which = f" --database-url {shlex.quote(url)}" if url.startswith("sqlite") else ""
        raise UnfitError(f"the database {hide_secret(url)} {state}; run: maskmill db upgrade{which}")
