"""`maskmill frames show`."""

from __future__ import annotations

import json

import click


@click.group("frames")
def command() -> None:
    """Single images or frames of an input."""


@command.command("show")
@click.argument("source", metavar="INPUT")
@click.option("--index", type=int, metavar="N", help="The image with this 0-based index, in input order.")
@click.option("--name", metavar="NAME", help="The image with this relative path or file name.")
@click.option("--to", metavar="PATH", help="Write the picture here, as PNG.")
@click.option(
    "--input-root", metavar="DIR", help="Folder that the relative paths of a list are counted from."
)
@click.option("--follow-symlinks", is_flag=True, help="Read linked folders, and links that leave the input.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(
    source: str,
    index: int | None,
    name: str | None,
    to: str | None,
    input_root: str | None,
    follow_symlinks: bool,
    as_json: bool,
) -> None:
    """Show one image of an input: an image, a folder, a video or @list.txt.

    Indices are those that --skip-list and --every-n count.
    """
    from common.escaping import escape
    from producer.look import look

    seen = look(source, index=index, name=name, to=to, input_root=input_root, follow_symlinks=follow_symlinks)
    facts = {
        "index": seen.index,
        "name": escape(seen.name),
        "width": seen.width,
        "height": seen.height,
        "of": escape(seen.source),
        "keyframe": seen.keyframe,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    decoded_from = "" if seen.keyframe is None else f", decoded from frame {seen.keyframe}"
    click.echo(f"{seen.index}: {escape(seen.name)}, {seen.width} x {seen.height}")
    click.echo(f"  of {escape(seen.source)}{decoded_from}")
    if to is not None:
        click.echo(f"  written to {to}")
