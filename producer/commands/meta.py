"""`maskmill meta`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

import click

_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@click.group("meta")
def command() -> None:
    """Show and change the records inside picture files."""


@command.command("show")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def show_command(files: tuple[str, ...], as_json: bool) -> None:
    """Show format, size and record of picture files; their pixels are not decoded.

    Exit code 1 if one of them cannot be read; the others are shown.
    """
    from common.background_loader import BackgroundLoader
    from common.errors import ImageError

    is_bad = False
    with BackgroundLoader(files, _read) as answers:
        for name, answer in zip(files, answers, strict=True):
            if isinstance(answer, ImageError):
                is_bad = True
                if not as_json:
                    click.echo(f"maskmill: {_shown(name)}: {answer}", err=True)
            if as_json:
                click.echo(json.dumps(_as_json(name, answer)))
            elif not isinstance(answer, ImageError):
                click.echo(f"{_shown(name)}: {answer.format}, {answer.width} x {answer.height}")
                click.echo(_as_text(answer.record))
    if is_bad:
        sys.exit(1)


@command.command("update")
@click.argument("file", metavar="FILE")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set one of your keys; repeatable."
)
@click.option("--unset", "removed", multiple=True, metavar="KEY", help="Remove one of your keys; repeatable.")
def update_command(file: str, settings: tuple[str, ...], removed: tuple[str, ...]) -> None:
    """Change your own keys in the record of a PNG or TIFF file.

    They lie beside what maskmill has written, which stays as it is; so do pixels and everything else in the
    file, which is replaced at once. A value is text. A file without a record gets one.
    """
    from common.crop_record import USER
    from common.errors import ImageError, UsageError
    from common.metadata import update_record

    values = dict(_parse(one) for one in settings)
    for key in removed:
        _check(key, "--unset")
    if not values and not removed:
        raise UsageError("--set is missing: give at least one KEY=VALUE (or --unset KEY)")

    def change(record: dict[str, Any] | None) -> Mapping[str, Any]:
        found = dict(record or {})
        mine = found.get(USER, {})
        if not isinstance(mine, dict):
            raise ImageError(
                "unreadable", "the part `user` of the record must be an object, got another value"
            )
        kept = {key: value for key, value in mine.items() if key not in removed}
        return {**found, USER: {**kept, **values}}

    try:
        record = update_record(file, change)
    except (ImageError, ValueError) as exc:
        raise UsageError(f"{_shown(file)}: {exc}") from exc
    click.echo(_as_text({USER: record[USER]}))


def _read(name: str) -> Any:
    from common.errors import ImageError
    from common.metadata import read_metadata

    try:
        return read_metadata(name)
    except ImageError as exc:
        return exc


def _parse(text: str) -> tuple[str, str]:
    """Split `KEY=VALUE`."""
    from common.errors import UsageError

    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--set must be KEY=VALUE, got {text!r}")
    _check(key, "--set")
    return key, value


def _check(key: str, flag: str) -> None:
    from common.crop_record import PROVENANCE, USER, CropRecord
    from common.errors import UsageError
    from common.metadata import KEYWORD

    if not _KEY.fullmatch(key):
        raise UsageError(f"{flag}: a key has 1 to 64 letters, digits, `_`, `.` or `-`, got {key!r}")
    if key in (KEYWORD, PROVENANCE, USER) or key in CropRecord.model_fields:
        raise UsageError(f"{flag} {key}: this name belongs to what maskmill writes; choose another")


def _as_json(name: str, answer: Any) -> dict[str, Any]:
    from common.errors import ImageError

    if isinstance(answer, ImageError):
        return {"path": _shown(name), "error": answer.code, "message": str(answer)}
    return {
        "path": _shown(name),
        "format": answer.format,
        "width": answer.width,
        "height": answer.height,
        "record": answer.record,
    }


def _as_text(record: Mapping[str, Any] | None) -> str:
    """A record for people: a line for each key, long lists on one line."""
    if record is None:
        return "  no record"
    lines: list[str] = []
    for part, content in record.items():
        if not isinstance(content, dict):
            content = {"": content}
        for key, value in content.items():
            name = f"{part}.{key}" if key else part
            lines.append(f"  {_printable(name)}: {_printable(json.dumps(value, ensure_ascii=False))}")
    return "\n".join(lines) or "  an empty record"


def _printable(text: str) -> str:
    """Escapes in place of control characters: a terminal obeys those."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _shown(name: str) -> str:
    import os

    from common.escaping import escape

    return escape(os.fsencode(name))
