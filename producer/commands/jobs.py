"""`maskmill jobs`."""

from __future__ import annotations

import click

from producer.commands.setting_flags import with_setting_flags


@click.group("jobs")
def command() -> None:
    """Keep the database small."""


@command.command("prune")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    required=True,
    metavar="DAYS",
    help="Jobs that ended so long ago.",
)
@click.option("--dry-run", is_flag=True, help="Only say which.")
@with_setting_flags("database_url")  # fmt: skip
def prune_command(days: float, dry_run: bool, database_url: str | None) -> None:
    """Delete the rows of jobs that ended long ago, and temporary files left in their outputs.

    Artifacts stay. Export what you still need of the rows first.
    """
    import os
    import time

    from common.files import sweep_temporaries
    from common.ledger.jobs import remove_job
    from common.settings import read_settings
    from producer.jobs import open_database, pick_jobs

    settings = read_settings(database_url=database_url)
    engine = open_database(None, settings.database_url)
    before = time.time() - days * 86400
    for job in pick_jobs(engine, None):
        if job.state == "running" or job.finished_at is None or job.finished_at > before:
            continue
        swept = 0
        if not dry_run:
            output = settings.local_path(job.output)
            swept = sweep_temporaries(output, settings.visibility_timeout_s) if os.path.isdir(output) else 0
            remove_job(engine, job.id)
        click.echo(
            f"job {job.name} ({job.state}): {'would be removed' if dry_run else 'removed'}, {swept} leftovers"
        )
