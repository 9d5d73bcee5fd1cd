"""`maskmill enqueue`."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from producer.commands.job_flags import job_flags, read_job_settings, read_request
from producer.commands.setting_flags import with_setting_flags


@click.command("enqueue")
@job_flags
@click.option("--wait", is_flag=True, help="Follow the job to its end and write its logs.csv.")
@with_setting_flags("workers", "broker_url", "database_url", "high_water")
def command(wait: bool, **flags: Any) -> None:
    """Send a job to the configured broker and database.

    Returns when every image is enqueued; `maskmill worker` processes, here or on other machines that see
    the same folders, do the work.
    """
    from common.ledger.reports import report
    from common.logs import configure_logging
    from producer.progress import ProgressDisplay
    from producer.remote import enqueue_job
    from producer.summary import as_json, as_lines

    request = read_request(flags)
    settings = read_job_settings(flags)
    configure_logging(settings, terminal_level="ERROR" if flags["quiet"] else "WARNING")
    if flags["dry_run"]:
        from producer.estimate import estimate

        estimate(request, settings, as_json=flags["as_json"])
        return
    with ProgressDisplay(quiet=flags["quiet"]) as progress:
        engine, job, state = enqueue_job(request, settings, progress.show, wait=wait)
    found = report(engine, job)
    engine.dispose()
    if flags["as_json"]:
        click.echo(json.dumps(as_json(found)))
    elif not flags["quiet"]:
        click.echo("\n".join(as_lines(found)))
    if wait and (state != "done" or found.counts.failed):
        sys.exit(1)
