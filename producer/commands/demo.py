"""`maskmill demo`."""

from __future__ import annotations

from typing import Any

import click


@click.command("demo")
@click.option("--output", default="demo", show_default=True, metavar="DIR", help="Where everything goes.")
@click.option("--workers", metavar="N", help="Processes per stage; 0: everything in this process.")
def command(**flags: Any) -> None:
    """Run the whole job on a sample photograph, and on pictures made from it.

    Writes the inputs to OUTPUT/input, the results to OUTPUT/result and one picture of them all,
    OUTPUT/contact-sheet.png.
    """
    from producer.demo import run_demo

    run_demo(flags["output"], flags["workers"])
