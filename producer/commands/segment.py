"""`maskmill segment`."""

from __future__ import annotations

import sys
from typing import Any

import click

from common.maskers import BLUR_KERNEL, BLUR_KERNEL_MAX, MODES, THRESHOLD, THRESHOLD_MAX
from producer.commands.setting_flags import given_settings, with_setting_flags


@click.command("segment")
@click.argument("job", required=False)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="PATH",
    help="Only images of this file, folder or @list.txt; repeatable.",
)
@click.option(
    "--input-root", metavar="DIR", help="Folder that the relative paths of a list are counted from."
)
@click.option(
    "--input-type",
    type=click.Choice(["frames", "faces"]),
    default="frames",
    show_default=True,
    help="frames: --input are pictures; faces: folders of face crops of maskmill.",
)
@click.option(
    "--masker",
    default="extended",
    show_default=True,
    metavar="MASKER",
    help="components, extended or onnx:PATH.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="missing",
    show_default=True,
    help="all: make every map anew, after a snapshot; missing: those that are not there; preview: none, only pictures.",
)
@click.option(
    "--output", metavar="DIR", help="Write a preview of every face there; needed for --mode preview."
)
@click.option("--full", is_flag=True, help="With --output: also each map at the size of its image.")
@click.option(
    "--blur-kernel",
    type=click.IntRange(0, BLUR_KERNEL_MAX),
    default=BLUR_KERNEL,
    show_default=True,
    metavar="PX",
    help="Blur of the previews' maps; 0: none.",
)
@click.option(
    "--threshold",
    type=click.IntRange(0, THRESHOLD_MAX),
    default=THRESHOLD,
    show_default=True,
    metavar="PERCENT",
    help="Values of the previews' maps nearer than this to an end go to that end.",
)
@click.option(
    "--restore",
    type=click.Path(),
    metavar="FILE",
    help="Make nothing; give faces back the maps of this snapshot, which `--mode all` took.",
)
@click.option("--wait", is_flag=True, help="On the configured broker: follow it to its end.")
@click.option("--quiet", is_flag=True, help="No progress, no summary; errors only.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON on standard output.")
@with_setting_flags(
    "workers", "device", "database_url", "broker_url", "chunk_size", "durability", "visibility_timeout_s",
    "soft_time_limit_s", "time_limit_s", "log_level", "log_file",
)  # fmt: skip
def command(
    job: str | None, restore: str | None, wait: bool, quiet: bool, as_json: bool, **flags: Any
) -> None:
    """Make a map of every face of a job: which pixels belong to it.

    JOB is the name of a job of the configured database, or the folder of an output of `maskmill run`, which is
    worked on here. Inside such a folder it may be left out. Maps are rows: see `maskmill export --table
    segmentations`. The same command again goes on where it stopped.
    """
    import json

    from common.logs import configure_logging
    from common.settings import read_settings
    from producer.progress import ProgressDisplay
    from producer.segment import segment_here, segment_there
    from producer.segment_request import read_request
    from producer.segment_summary import left_out_warning, run_as_json, run_as_lines

    settings = read_settings(**given_settings(flags))
    level = "ERROR" if quiet else settings.log_level if settings.worker_count == 0 else "WARNING"
    configure_logging(settings, terminal_level=level)
    if restore is not None:
        _restore(job, restore, flags, quiet=quiet, as_json=as_json)
        return
    asked = read_request(job, flags, settings)
    chosen = asked.chosen if asked.is_confined else None
    with ProgressDisplay(quiet=quiet) as progress:
        if asked.is_local:
            run, state = segment_here(asked.engine, asked.job, asked.request, chosen, settings, progress.show)
        else:
            run, state = segment_there(
                asked.engine, asked.job, asked.request, chosen, settings, progress.show, wait=wait
            )
    summary = run_as_json(asked.engine, run)
    warning = left_out_warning(asked.engine, run)
    if warning is not None:
        click.echo(f"maskmill: {warning}", err=True)
    if as_json:
        click.echo(json.dumps({**summary, "unknown": asked.chosen.unknown}))
    elif not quiet:
        click.echo("\n".join(run_as_lines(asked.engine, run)))
    asked.engine.dispose()
    if (asked.is_local or wait) and (state != "done" or summary["failed"]):
        sys.exit(1)


def _restore(job: str | None, path: str, flags: dict[str, Any], *, quiet: bool, as_json: bool) -> None:
    import contextlib
    import json
    from dataclasses import asdict

    from common.errors import UsageError
    from producer.locks import output_lock
    from producer.segment_request import find_target
    from producer.snapshots import restore_snapshot

    if flags["inputs"] or flags["output"] is not None or flags["full"]:
        raise UsageError("--restore makes no map and no picture: leave out --input, --output and --full")
    engine, recorded, is_local = find_target(job, flags)
    with output_lock(recorded.output) if is_local else contextlib.nullcontext():
        found = restore_snapshot(engine, recorded, path)
    engine.dispose()
    if as_json:
        click.echo(json.dumps({"job": recorded.name, **asdict(found)}))
    elif not quiet:
        click.echo(f"job {recorded.name}: {found.maps} maps by {found.masker} are as in the snapshot")
    if found.unknown:
        click.echo(f"maskmill: {found.unknown} maps belong to faces that the job does not have", err=True)
