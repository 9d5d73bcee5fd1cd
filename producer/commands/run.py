"""`maskmill run`."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from producer.commands.job_flags import job_flags, read_job_settings, read_request, require_models
from producer.commands.setting_flags import given_settings, with_setting_flags

if TYPE_CHECKING:
    from producer.ahead import WorkerAhead


@click.command("run")
@job_flags
@with_setting_flags("workers", "phases")
def command(**flags: Any) -> None:
    """Do a whole job on this machine; no service is needed.

    A private queue, the workers and a SQLite database (OUTPUT/maskmill.db) are started and ended by
    this command. The same command again goes on where it stopped; finished work is not repeated.
    """
    # First of all: it imports while this process does.
    with _worker_ahead(flags) as ahead:
        _run(flags, ahead)


def _worker_ahead(flags: dict[str, Any]) -> contextlib.AbstractContextManager[WorkerAhead | None]:
    """A worker for these flags; None where they ask for none.

    The settings are not read for that, which takes as long as it may gain: a worker that is not needed is ended.
    """
    if flags["dry_run"] or (flags["workers"] or os.environ.get("MASKMILL_WORKERS")) == "0":
        return contextlib.nullcontext()
    from producer.ahead import WorkerAhead

    models = given_settings({"models": flags["models"]})
    return WorkerAhead({f"MASKMILL_{name.upper()}": value for name, value in models.items()})


def _run(flags: dict[str, Any], ahead: WorkerAhead | None) -> None:
    import json

    from common.ledger.reports import report
    from common.logs import configure_logging
    from producer.local import run_job
    from producer.progress import ProgressDisplay
    from producer.summary import as_json, as_lines

    request = read_request(flags)
    settings = read_job_settings(flags)
    require_models(request, settings)
    # The workers log to --log-file; in this process `--workers 0` shows each step.
    level = "ERROR" if flags["quiet"] else settings.log_level if settings.worker_count == 0 else "WARNING"
    configure_logging(settings, terminal_level=level)
    if flags["dry_run"]:
        from producer.estimate import estimate

        estimate(request, settings, as_json=flags["as_json"])
        return
    with ProgressDisplay(quiet=flags["quiet"]) as progress:
        engine, job, state = run_job(request, settings, progress.show, ahead)
    found = report(engine, job)
    engine.dispose()
    if flags["as_json"]:
        click.echo(json.dumps(as_json(found)))
    elif not flags["quiet"]:
        click.echo("\n".join(as_lines(found)))
    if state != "done" or found.counts.failed:
        sys.exit(1)
