"""`maskmill ingest-faces`."""

from __future__ import annotations

import json

import click

from producer.commands.setting_flags import with_setting_flags


@click.command("ingest-faces")
@click.argument("folder", metavar="DIR")
@click.option(
    "--output", metavar="DIR", help="Record in the database of this folder (maskmill.db), made if need be."
)
@with_setting_flags("database_url")
@click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")
def command(folder: str, output: str | None, database_url: str | None, as_json: bool) -> None:
    """Rebuild rows from a folder of crops: job, images, faces, masks and artifacts.

    PNG and TIFF crops of maskmill say where they come from. Pictures that do not are counted and skipped
    (unknown_face). Safe to repeat: what has a row keeps it; files that were changed get their new checksums.
    `status` and `export` work on what was rebuilt; `run` does not continue it.
    """
    import os
    from dataclasses import asdict

    from sqlalchemy import Engine

    from common.database import engine_for
    from common.errors import UsageError
    from common.schema import upgrade
    from producer.ingest import ingest
    from producer.jobs import open_database
    from producer.local import database_of
    from producer.request import make_output

    if output is not None and database_url is not None:
        raise UsageError("--output and --database-url exclude each other: each names a database")

    def open_engine() -> Engine:
        if output is None:
            return open_database(None, database_url)
        place = os.path.realpath(os.fsencode(output))
        make_output(place)
        upgrade(database_of(place))
        return engine_for(database_of(place))

    job, done = ingest(open_engine, folder)
    if as_json:
        answer = {"job": job.name, "crops": done.crops, "added": asdict(done.added), "skipped": done.skipped}
        click.echo(json.dumps(answer))
        return
    added = done.added
    click.echo(
        f"job {job.name}: {done.crops} crops; new rows: {added.images} images, {added.faces} faces, "
        f"{added.masks} masks, {added.artifacts} artifacts"
    )
    for reason, count in sorted(done.skipped.items()):
        click.echo(f"  skipped, {reason}: {count}")
