"""`maskmill status`."""

from __future__ import annotations

import json
import time

import click

from producer.commands.setting_flags import with_setting_flags


@click.command("status")
@click.argument("job", required=False)
@click.option("--output", metavar="DIR", help="Ask the database of this output of `maskmill run`.")
@with_setting_flags("database_url")
@click.option("--watch", is_flag=True, help="Show it again every two seconds until the job ends.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one job a line.")
def command(
    job: str | None, output: str | None, database_url: str | None, watch: bool, as_json: bool
) -> None:
    """Show one job or all: images per state, faces, speed, time left, failures by cause."""
    from rich.live import Live
    from rich.text import Text

    from common.ledger.reports import JobReport, report
    from common.ledger.segments import runs_of
    from producer import segment_summary, summary
    from producer.jobs import open_database, pick_jobs

    engine = open_database(output, database_url)

    def reports() -> list[JobReport]:
        return [report(engine, one) for one in pick_jobs(engine, job)]

    def as_values(one: JobReport) -> dict[str, object]:
        runs = [segment_summary.run_as_json(engine, run) for run in runs_of(engine, one.job)]
        return {**summary.as_json(one), "segmentations": runs}

    def as_lines(one: JobReport) -> list[str]:
        runs = [segment_summary.run_as_lines(engine, run) for run in runs_of(engine, one.job)]
        return [*summary.as_lines(one), *(line for run in runs for line in run)]

    def lines(found: list[JobReport]) -> str:
        if as_json:
            return "\n".join(json.dumps(as_values(one)) for one in found)
        return "\n".join("\n".join(as_lines(one)) for one in found) or "no jobs yet"

    def goes_on(found: list[JobReport]) -> bool:
        states = [one.job.state for one in found]
        return "running" in states + [run.state for one in found for run in runs_of(engine, one.job)]

    found = reports()
    if not watch:
        click.echo(lines(found))
        return
    if as_json:
        while True:
            click.echo(lines(found))
            if not goes_on(found):
                return
            time.sleep(2)
            found = reports()
    with Live(Text(lines(found)), auto_refresh=False) as live:
        while goes_on(found):
            time.sleep(2)
            found = reports()
            live.update(Text(lines(found)), refresh=True)
