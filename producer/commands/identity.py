"""`maskmill identity`."""

from __future__ import annotations

import json

import click

from producer.commands.setting_flags import with_setting_flags


@click.group("identity")
def command() -> None:
    """Reference pictures of `--filter` and `--nfilter`, and what was decided by them."""


@command.command("list")
@click.argument("job", required=False)
@click.option("--output", metavar="DIR", help="Ask the database of this output of `maskmill run`.")
@with_setting_flags("database_url")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one job a line.")
def list_command(job: str | None, output: str | None, database_url: str | None, as_json: bool) -> None:
    """References of one job or all, and how many faces each rule decided; jobs without a filter are left out.

    `maskmill export --table faces` has the distances and the rule of each face.
    """
    from common.ledger.references import count_decisions, find_references
    from producer.identities import as_json as to_json
    from producer.identities import as_lines
    from producer.jobs import open_database, pick_jobs

    engine = open_database(output, database_url)
    for found in pick_jobs(engine, job):
        if not found.options.filters_identity:
            continue
        references, decisions = find_references(engine, found.id), count_decisions(engine, found.id)
        if as_json:
            click.echo(json.dumps(to_json(found, references, decisions)))
        else:
            click.echo("\n".join(as_lines(found, references, decisions)))
