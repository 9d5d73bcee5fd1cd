"""`maskmill resume`."""

from __future__ import annotations

import click

from producer.commands.setting_flags import with_setting_flags


@click.command("resume")
@click.argument("job", required=False)
@click.option(
    "--output", metavar="DIR", help="The job of this output of `maskmill run`: it is run to its end here."
)
@click.option("--wait", is_flag=True, help="Follow the job to its end and write its logs.csv.")
@with_setting_flags("database_url", "broker_url", "workers")
def command(
    job: str | None,
    output: str | None,
    wait: bool,
    database_url: str | None,
    broker_url: str | None,
    workers: str | None,
) -> None:
    """Send again whatever is not final: after a lost queue, a lost machine, or `cancel`.

    Nothing new is recorded; finished work is not repeated. Safe to repeat.
    """
    from common.settings import read_settings
    from producer.jobs import open_database, pick_job
    from producer.proceed import proceed

    settings = read_settings(database_url=database_url, broker_url=broker_url, workers=workers)
    engine = open_database(output, database_url)
    proceed(engine, pick_job(engine, job), settings, wait=wait)
