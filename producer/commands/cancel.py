"""`maskmill cancel`."""

from __future__ import annotations

import click

from producer.commands.setting_flags import with_setting_flags


@click.command("cancel")
@click.argument("job", required=False)
@click.option("--output", metavar="DIR", help="The job of this output of `maskmill run`.")
@with_setting_flags("database_url")
def command(job: str | None, output: str | None, database_url: str | None) -> None:
    """Stop a job: chunks under way end, no other is begun. `resume`, or the same command again, goes on."""
    from common.ledger.jobs import cancel_job, find_job
    from producer.jobs import open_database, pick_job

    engine = open_database(output, database_url)
    found = pick_job(engine, job)
    cancel_job(engine, found)
    now = find_job(engine, name=found.name)
    click.echo(f"job {found.name}: {'removed' if now is None else now.state}")
