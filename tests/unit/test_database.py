"""Opening and upgrading a SQLite file that other processes open, upgrade or hold at the same time."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from common import database
from common.database import engine_for, sqlite_url
from common.errors import UnfitError, UsageError
from common.schema import REVISION, is_current, require_current, revision, upgrade
from producer.jobs import open_database
from producer.local import DATABASE_NAME, database_of, upgrade_output
from producer.locks import output_lock


@contextlib.contextmanager
def holder(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection, which begins and ends transactions as it is told."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def tables(path: Path) -> set[str]:
    with holder(path) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    made = sqlite_url(str(tmp_path / "jobs.db"))
    yield made
    engine_for(made).dispose()


def test_processes_that_upgrade_a_new_file_together_all_succeed(url: str, tmp_path: Path) -> None:
    """Each waits at the door for the others, so that they are together in it."""
    code = f"""
import os, sys, time
from common.schema import is_current, upgrade
open({str(tmp_path)!r} + f"/at-the-door-{{os.getpid()}}", "w").close()
while sum(name.startswith("at-the-door") for name in os.listdir({str(tmp_path)!r})) < 4:
    time.sleep(0.005)
upgrade({url!r})
sys.exit(not is_current({url!r}))
"""
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE))
            for _ in range(4)
        ]
        said = [process.communicate()[1].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said


def test_this_version_has_the_newest_schema() -> None:
    assert ScriptDirectory(str(resources.files("migrations"))).get_current_head() == REVISION


def test_an_upgrade_that_fails_changes_nothing(url: str, tmp_path: Path) -> None:
    """A table of the seventh step is there already: the six before it are undone."""
    with holder(tmp_path / "jobs.db") as other:
        other.execute("CREATE TABLE segment_runs (id INTEGER)")
    with pytest.raises(UnfitError, match="segment_runs already exists"):
        upgrade(url)
    assert tables(tmp_path / "jobs.db") == {"segment_runs"}


def test_what_is_only_read_waits_for_no_writer(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_SQLITE_WAIT_S", 0)
    upgrade(url)
    with holder(tmp_path / "jobs.db") as other:
        other.execute("BEGIN IMMEDIATE")
        upgrade(url)
        require_current(url)
        assert revision(url) == REVISION
        assert database.database_version(url).startswith("sqlite 3")
        # The holder holds: a writer is refused.
        with pytest.raises(Exception, match="locked"), engine_for(url).begin() as connection:
            connection.execute(text("DELETE FROM jobs"))


def test_a_file_whose_journal_another_process_is_setting_is_asked_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first refusal ends the other's transaction; without a second attempt there is none after it."""
    monkeypatch.setattr(database, "_SQLITE_WAIT_S", 0.001)
    with holder(tmp_path / "jobs.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE theirs (id INTEGER)")
        waited = []

        def end_theirs(seconds: float) -> None:
            waited.append(seconds)
            monkeypatch.setattr(database, "_SQLITE_WAIT_S", 30)
            other.execute("COMMIT")

        monkeypatch.setattr(database.time, "sleep", end_theirs)
        # No second of the deadline passes before the first attempt has failed.
        monkeypatch.setattr(database.time, "monotonic", lambda: 0.0)
        with engine_for(url).connect() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    assert len(waited) == 1


def test_the_old_database_of_an_output_in_use_is_not_touched(tmp_path: Path) -> None:
    output = str(tmp_path).encode()
    with output_lock(output), pytest.raises(UsageError, match="in use by another run"):
        upgrade_output(output)
    assert not (tmp_path / "maskmill.db").exists()
    upgrade_output(output)
    assert is_current(database_of(output))
    with output_lock(output):
        upgrade_output(output)
    engine_for(database_of(output)).dispose()


def test_who_asks_while_a_run_makes_its_tables_waits_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = str(tmp_path).encode()
    (tmp_path / DATABASE_NAME.decode()).touch()
    monkeypatch.setattr("producer.jobs.time.sleep", lambda _seconds: upgrade(database_of(output)))
    engine = open_database(str(tmp_path), None)
    assert is_current(database_of(output))
    engine.dispose()
