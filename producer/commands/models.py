"""`maskmill models`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from producer.commands.setting_flags import with_setting_flags

_with_manifest = click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="More models with their addresses: TOML or JSON.",
)


def _folder(models: str | None) -> Path | None:
    from common.settings import read_settings

    return read_settings(models=models).models


@click.group("models")
def command() -> None:
    """List, fetch and verify the model files."""


@command.command("list")
@with_setting_flags("models")
@_with_manifest
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_command(models: str | None, manifest: Path | None, as_json: bool) -> None:
    """Name, use, licence, size, place and address of every known model."""
    from producer.pull.listed import listed

    found = listed(_folder(models), manifest)
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
                        "address": one.address,
                        "known_size": one.known_size,
                        "sha256": one.known_sha256,
                    }
                )
            )
        return
    row = "{:<12} {:<30} {:<42} {:>9}  {}"
    click.echo(row.format("name", "use", "licence", "size", "path, or where it can be had"))
    for one in found:
        click.echo(
            row.format(one.name, one.use, one.licence, _megabytes(one.size or one.known_size), _place(one))
        )


@command.command("pull")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@with_setting_flags("models")
@_with_manifest
def pull_command(names: tuple[str, ...], models: str | None, manifest: Path | None) -> None:
    """Fetch models into the cache; without a NAME those that have an address and are nowhere else.

    Interrupted, the same command goes on where it stopped. What comes is compared with the known checksum.
    """
    from common.weights import models_cache_dir
    from producer.pull.display import DownloadDisplay
    from producer.pull.fetch import fetch
    from producer.pull.listed import listed
    from producer.pull.manifest import chosen

    if not names:
        missing = [one for one in listed(_folder(models), manifest) if one.address is not None]
        names = tuple(one.name for one in missing if one.path is None)
        for one in missing:
            if one.path is not None:
                click.echo(f"{one.name}: already there ({one.path})")
    for entry in chosen(names, manifest) if names else ():
        with DownloadDisplay(entry.name) as display:
            path, is_new = fetch(entry, models_cache_dir(), display.show)
        click.echo(
            f"{entry.name}: {'fetched' if is_new else 'already there'} ({path}); licence: {entry.licence}"
        )


@command.command("verify")
@with_setting_flags("models")
@_with_manifest
def verify_command(models: str | None, manifest: Path | None) -> None:
    """Compare the checksums of the files found with the known ones; exit code 3 on a difference."""
    from common.weights import verify
    from producer.pull.listed import listed

    is_bad = False
    for one in listed(_folder(models), manifest):
        verdict = verify(one)
        is_bad = (
            is_bad or verdict == "mismatch" or (verdict == "missing" and one.name in ("centerface", "dlib68"))
        )
        size = "" if one.size is None else f", {_megabytes(one.size)}"
        click.echo(f"{one.name}: {verdict} ({_place(one)}{size})")
    if is_bad:
        sys.exit(3)


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1e6:.1f} MB"


def _place(one: object) -> str:
    from common.weights import ModelStatus

    assert isinstance(one, ModelStatus)
    if one.path is not None:
        return str(one.path)
    return "not found" if one.address is None else f"not found; {one.address}"


@command.command("check")
@with_setting_flags("models", "device")
@click.option("--detector", metavar="NAME", help="The word that `run --detector` takes.")
@click.option("--detector-model", metavar="PATH", help="Its ONNX file or description.")
@click.option("--landmarks", metavar="NAME", help="The word that `run --landmarks` takes.")
@click.option("--landmark-model", metavar="PATH", help="Its file or description.")
def check_command(
    models: str | None,
    device: str | None,
    detector: str | None,
    detector_model: str | None,
    landmarks: str | None,
    landmark_model: str | None,
) -> None:
    """Open a model as a worker would, on black pixels; exit code 3 where it is another or does not run."""
    from common.errors import UsageError
    from common.options import make_options
    from common.settings import read_settings

    if detector is None and landmarks is None:
        raise UsageError("--detector or --landmarks is missing: say what the file should be")
    if detector == "manual":
        raise UsageError("--detector manual has no model")
    names = {"detector": detector, "landmarks": landmarks}
    options = make_options(
        {
            **{option: name for option, name in names.items() if name is not None},
            "detector_model": detector_model,
            "landmark_model": landmark_model,
        }
    )
    from workers.runtime import Runtime

    runtime = Runtime(read_settings(models=models, device=device))
    if detector is not None:
        opened = runtime.detector(options)
        click.echo(f"{opened.name}: runs on {opened.provider}")
    if landmarks is not None:
        landmarker = runtime.landmarker(options)
        click.echo(f"{landmarker.name}: runs on {landmarker.provider}, {landmarker.batch} faces at once")
