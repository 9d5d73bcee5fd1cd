"""`maskmill models`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from producer.commands.setting_flags import with_setting_flags


def _folder(models: str | None) -> Path | None:
    from common.settings import read_settings

    return read_settings(models=models).models


@click.group("models")
def command() -> None:
    """List and verify the model files."""


@command.command("list")
@with_setting_flags("models")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_command(models: str | None, as_json: bool) -> None:
    """Name, use, licence and place of every known model."""
    from common.weights import listing

    found = listing(_folder(models))
    if as_json:
        for one in found:
            click.echo(
                json.dumps(
                    {
                        "name": one.name,
                        "use": one.use,
                        "path": None if one.path is None else str(one.path),
                        "size": one.size,
                        "licence": one.licence,
                        "origin": one.origin,
                    }
                )
            )
        return
    row = "{:<12} {:<30} {:<42} {:>9}  {}"
    click.echo(row.format("name", "use", "licence", "size", "path"))
    for one in found:
        size = "" if one.size is None else f"{one.size / 1e6:.1f} MB"
        click.echo(row.format(one.name, one.use, one.licence, size, one.path or "not found"))


@command.command("verify")
@with_setting_flags("models")
def verify_command(models: str | None) -> None:
    """Compare the checksums of the files found with the known ones; exit code 3 on a difference."""
    from common.weights import listing, verify

    is_bad = False
    for one in listing(_folder(models)):
        verdict = verify(one)
        is_bad = (
            is_bad or verdict == "mismatch" or (verdict == "missing" and one.name in ("centerface", "dlib68"))
        )
        click.echo(f"{one.name}: {verdict}{'' if one.path is None else f' ({one.path})'}")
    if is_bad:
        sys.exit(3)
