"""`maskmill bench`."""

from __future__ import annotations

import sys

import click


@click.command(
    "bench", context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Measure the whole job on this machine, next to what the machine can do; --help lists the options."""
    # Imported here: it takes the libraries that work on pixels along.
    from benchmarks.job import main

    sys.argv = ["maskmill bench", *arguments]
    main()
