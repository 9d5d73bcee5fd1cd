"""`maskmill retry`."""

from __future__ import annotations

import click

from producer.commands.setting_flags import with_setting_flags


@click.command("retry")
@click.argument("job", required=False)
@click.option("--failed", is_flag=True, help="Images that failed (the default).")
@click.option("--missed", is_flag=True, help="Images without an accepted face.")
@click.option(
    "--output", metavar="DIR", help="The job of this output of `maskmill run`: it is run to its end here."
)
@click.option("--wait", is_flag=True, help="Follow the job to its end and write its logs.csv.")
@with_setting_flags("database_url", "broker_url", "workers")
def command(
    job: str | None,
    failed: bool,
    missed: bool,
    output: str | None,
    wait: bool,
    database_url: str | None,
    broker_url: str | None,
    workers: str | None,
) -> None:
    """Try failed or missed images of a job again."""
    from common.ledger.jobs import retry_images
    from common.pipeline import ImageState
    from common.settings import read_settings
    from producer.jobs import open_database, pick_job
    from producer.proceed import proceed

    settings = read_settings(database_url=database_url, broker_url=broker_url, workers=workers)
    engine = open_database(output, database_url)
    found = pick_job(engine, job)
    states: list[ImageState] = ["missed"] if missed and not failed else ["failed"]
    if missed and failed:
        states.append("missed")
    click.echo(f"job {found.name}: {retry_images(engine, found, states)} images are tried again")
    proceed(engine, found, settings, wait=wait)
