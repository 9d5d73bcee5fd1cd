"""Going on with a job that is recorded already: `resume` and `retry`."""

from __future__ import annotations

import sys

import click
from sqlalchemy import Engine

from common.ledger.jobs import RecordedJob, resume_job
from common.ledger.reports import report
from common.logs import configure_logging
from common.settings import Settings
from producer.local import database_of, run_recorded
from producer.progress import ProgressDisplay
from producer.remote import send_recorded
from producer.summary import as_lines


def proceed(engine: Engine, job: RecordedJob, settings: Settings, *, wait: bool) -> None:
    """Work on the open images of a job: here, for an output of `run`; on the configured broker otherwise."""
    configure_logging(settings, terminal_level="WARNING")
    is_local = str(engine.url.render_as_string(hide_password=False)) == database_of(job.output)
    if not is_local:
        resume_job(engine, job)
    with ProgressDisplay(quiet=False) as progress:
        if is_local:
            state = run_recorded(engine, job, settings, progress.show)
        else:
            state = send_recorded(engine, job, settings, progress.show, wait=wait)
    found = report(engine, job)
    click.echo("\n".join(as_lines(found)))
    if (is_local or wait) and (state != "done" or found.counts.failed):
        sys.exit(1)
