"""Engines: one per process, SQLite and PostgreSQL through the same code."""

from __future__ import annotations

import logging
import os
import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

from common.errors import TransientError, UnfitError, UsageError
from common.filesystems import NETWORK_TYPES, file_system_type
from common.settings import hide_secret
from common.statements import from_json, insert_for, to_json

log = logging.getLogger("maskmill.database")

_Answer = TypeVar("_Answer")

_READS = "maskmill_reads"

_SQLITE_WAIT_S = 30
"""So long a process waits for another one's transaction."""

_engines: dict[tuple[int, str], Engine] = {}


def sqlite_url(path: str) -> str:
    """The URL of a SQLite file; special characters in the path are escaped."""
    return URL.create("sqlite", database=path).render_as_string()


def engine_for(url: str) -> Engine:
    """This process's engine for a database; a forked child never shares its parent's connections."""
    key = (os.getpid(), url)
    if key not in _engines:
        _engines[key] = _create_engine(url)
    return _engines[key]


def _create_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite_engine(parsed)
        if parsed.get_backend_name() != "postgresql":
            raise UsageError(f"the database must be SQLite or PostgreSQL, got {hide_secret(url)}")
        return create_engine(
            parsed,
            json_serializer=to_json,
            json_deserializer=from_json,
            # After an immediate restart of PostgreSQL: 0 errors with it, one per connection without.
            pool_pre_ping=True,
            pool_size=1,
            max_overflow=2,
            pool_recycle=1800,
            connect_args={
                "application_name": "maskmill",
                "connect_timeout": 5,
                "options": "-c statement_timeout=60000 -c idle_in_transaction_session_timeout=120000",
            },
        )
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as exc:
        raise UsageError(f"the database URL {hide_secret(url)} is not understood: {exc}") from exc


def _sqlite_engine(url: URL) -> Engine:
    if url.database and url.database != ":memory:":
        found = file_system_type(url.database)
        if found in NETWORK_TYPES:
            raise UnfitError(
                f"the database {url.database} lies on a network file system ({found}), where SQLite's locks do not "
                "hold: use another folder, or `maskmill enqueue` with PostgreSQL (MASKMILL_DATABASE_URL)"
            )
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise UnfitError(
                f"the folder of the database {url.database} cannot be made: {exc.strerror}"
            ) from exc
    engine = create_engine(
        url,
        json_serializer=to_json,
        json_deserializer=from_json,
        connect_args={"timeout": _SQLITE_WAIT_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # The driver's own transaction handling is off: `begin` below takes the write lock at once, so
        # that a transaction never fails half-way because another process wrote first.
        connection.isolation_level = None
        _enter_wal(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        options = connection.get_execution_options()
        if not options.get(_READS) and options.get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Set the journal of a file.

    While another process does the same to a new file, SQLite refuses at once, whatever its time-out (40 of 1,200
    times with six processes): it is asked again.
    """
    deadline = time.monotonic() + _SQLITE_WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def reading(engine: Engine) -> Connection:
    """A connection for reading, to be used with `with`: on SQLite it takes no write lock."""
    return engine.connect().execution_options(**{_READS: True})


def insert_into(engine: Engine, table: Any) -> Any:
    """An INSERT of the engine's dialect, which has `on_conflict_do_nothing` and `…_do_update`."""
    return insert_for(engine.dialect, table)


def persistently(action: Callable[[], _Answer], *, for_s: float = 60.0) -> _Answer:
    """Run a database action again while the database is away, locked or deadlocked.

    Waits 0.1 s, then twice as long each time up to 5 s, with jitter.

    Raises:
        TransientError: it did not come back within `for_s` seconds.
    """
    deadline = time.monotonic() + for_s
    wait_s = 0.1
    while True:
        try:
            return action()
        except OperationalError as exc:
            cause = first_line(exc)
            if time.monotonic() + wait_s > deadline:
                raise TransientError(f"the database does not answer: {cause}") from exc
            log.warning("the database does not answer, trying again in %.1f s: %s", wait_s, cause)
            time.sleep(wait_s * random.uniform(0.75, 1.25))
            wait_s = min(2 * wait_s, 5.0)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without SQL and parameters."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(original).strip().splitlines() or [type(original).__name__])[0]


def database_version(url: str) -> str:
    """Name and version of the database server.

    Raises:
        UnfitError: it does not answer.
    """
    engine = engine_for(url)
    query = "SELECT sqlite_version()" if engine.dialect.name == "sqlite" else "SHOW server_version"
    try:
        with reading(engine) as connection:
            return f"{engine.dialect.name} {connection.execute(text(query)).scalar()}"
    except DBAPIError as exc:
        raise UnfitError(f"the database {hide_secret(url)} does not answer: {first_line(exc)}") from exc
