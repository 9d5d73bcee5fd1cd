"""Which database and which job a command means."""

from __future__ import annotations

import contextlib
import os
import time

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from common.database import engine_for
from common.errors import UsageError
from common.escaping import escape
from common.ledger.jobs import RecordedJob, all_job_names, find_job
from common.schema import require_current, revision
from common.settings import read_settings
from producer.local import DATABASE_NAME, database_of

_TABLES_S = 10.0
"""Making all tables takes a second or less."""


def open_database(output: str | None, database_url: str | None) -> Engine:
    """The database of a `run` output (also of the current folder, if it is one), or the configured one.

    Raises:
        UsageError: the output has none.
        UnfitError: it does not answer or is out of date.
    """
    if output is None and database_url is None and os.path.exists(DATABASE_NAME):
        output = "."
    if output is None:
        url = read_settings(database_url=database_url).database_url
    else:
        folder = os.path.realpath(os.fsencode(output))
        if not os.path.exists(os.path.join(folder, DATABASE_NAME)):
            raise UsageError(
                f"--output {escape(folder)} has no maskmill.db: it is no output of `maskmill run`"
            )
        url = database_of(folder)
        _wait_for_tables(url)
    require_current(url)
    return engine_for(url)


def _wait_for_tables(url: str) -> None:
    """Give a run that has just begun the time to make the tables of its output."""
    deadline = time.monotonic() + _TABLES_S
    with contextlib.suppress(DBAPIError):  # told by whoever asks next
        while revision(url) is None and time.monotonic() < deadline:
            time.sleep(0.1)


def pick_jobs(engine: Engine, name: str | None) -> list[RecordedJob]:
    """The named job, or all of them.

    Raises:
        UsageError: there is no such job.
    """
    names = all_job_names(engine) if name is None else [name]
    jobs = [job for job in (find_job(engine, name=one) for one in names) if job is not None]
    if name is not None and not jobs:
        known = ", ".join(all_job_names(engine)[-5:]) or "none"
        raise UsageError(f"there is no job {name!r} in this database (the latest: {known})")
    return jobs


def pick_job(engine: Engine, name: str | None) -> RecordedJob:
    """The named job; without a name the only one.

    Raises:
        UsageError: there is no such job, or several and none is named.
    """
    jobs = pick_jobs(engine, name)
    if len(jobs) != 1:
        names = ", ".join(job.name for job in jobs) or "none"
        raise UsageError(f"JOB is missing: this database has {len(jobs)} jobs ({names})")
    return jobs[0]
