"""`maskmill export`."""

from __future__ import annotations

import sys

import click

from producer.commands.setting_flags import with_setting_flags


@click.command("export")
@click.argument("job", required=False)
@click.option("--output", metavar="DIR", help="Read the database of this output of `maskmill run`.")
@with_setting_flags("database_url")
@click.option(
    "--format", "format_name", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True
)
@click.option(
    "--table", type=click.Choice(["artifacts", "images", "faces", "segmentations"]), help="What is exported."
)
@click.option("--to", metavar="PATH", help="A file, or - for standard output.")
def command(
    job: str | None,
    output: str | None,
    database_url: str | None,
    format_name: str,
    table: str | None,
    to: str | None,
) -> None:
    """Write the results of a job out of SQL.

    Without --table and --to, logs.csv and missed_images.txt in the job's output are written anew.
    Inside an output of `maskmill run` JOB and --output may be left out.
    """
    import os

    from common.errors import ImageError, UsageError
    from common.files import write_atomically
    from common.settings import read_settings
    from producer.export import FORMATS, Exporter, write_logs
    from producer.jobs import open_database, pick_job

    engine = open_database(output, database_url)
    found = pick_job(engine, job)
    if table is None and to is None and format_name == "csv":
        folder = read_settings().local_path(found.output)
        write_logs(engine, found, folder)
        click.echo(os.fsdecode(os.path.join(folder, b"logs.csv")))
        return
    chunks = FORMATS[format_name](Exporter(engine, found), table or "artifacts")
    if to is None or to == "-":
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        return
    try:
        write_atomically(os.fsencode(os.path.abspath(to)), chunks)
    except ImageError as exc:
        raise UsageError(f"--to {to}: {exc}") from exc
    click.echo(to)
