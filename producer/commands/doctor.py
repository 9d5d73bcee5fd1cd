"""`maskmill doctor`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        needed_by: the commands that cannot work without it.
    """

    what: str
    is_well: bool
    detail: str
    needed_by: str = ""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(as_json: bool) -> None:
    """Say what is missing on this machine, and how to mend it; exit code 3 if `run` cannot work."""
    from common.settings import hide_secret, read_settings

    settings = read_settings()
    if not as_json:
        click.echo("settings:")
        for name, value in settings.model_dump().items():
            unset = "(auto)" if name == "workers" else "(not set)"
            shown = unset if value is None else hide_secret(str(value))
            click.echo(f"  MASKMILL_{name.upper()} = {shown}")
        click.echo("findings:")
    cannot_run = False
    for finding in _findings():
        cannot_run = cannot_run or (not finding.is_well and "run" in finding.needed_by.split(", "))
        if as_json:
            click.echo(json.dumps(finding.__dict__))
        else:
            needed = "" if finding.is_well or not finding.needed_by else f" [needed by {finding.needed_by}]"
            click.echo(
                f"  {'ok     ' if finding.is_well else 'MISSING'} {finding.what}: {finding.detail}{needed}"
            )
    if cannot_run:
        sys.exit(3)


def _findings() -> Iterator[Finding]:
    import platform
    from importlib.metadata import version
    from pathlib import Path

    from common.settings import hide_secret, read_settings, usable_cores
    from common.weights import find

    settings = read_settings()
    detail = f"{version('maskmill')}, Python {platform.python_version()}, {usable_cores()} cores"
    yield Finding("maskmill", True, detail)
    yield _try("OpenCV", _opencv, "run, worker")
    yield _try("ONNX Runtime", lambda: _onnxruntime(settings.device), "run, worker")
    for name in ("centerface", "dlib68"):

        def found(name: str = name) -> str:
            return str(find(name, None, Path(settings.models) if settings.models else None))

        yield _try(f"model {name}", found, "run, worker")
    yield _try("Redis server of its own", _own_redis, "run")
    url = hide_secret(settings.broker_url)
    yield _try(f"broker {url}", _broker, "enqueue, worker")
    yield _try(f"database {hide_secret(settings.database_url)}", _database, "enqueue, worker")


def _try(what: str, look: Callable[[], str], needed_by: str) -> Finding:
    from common.errors import MaskmillError

    try:
        return Finding(what, True, look(), needed_by)
    except MaskmillError as exc:
        return Finding(what, False, str(exc), needed_by)


def _opencv() -> str:
    from common.errors import UnfitError

    try:
        import cv2
    except ImportError as exc:
        raise UnfitError(
            f"{exc}; install the system's libGL (Debian: apt install libgl1 libglib2.0-0)"
        ) from exc
    return str(cv2.__version__)


def _onnxruntime(device: str) -> str:
    from common.errors import UnfitError

    try:
        from workers.onnx_runtime import ort
        from workers.sessions import cuda_obstacle
    except ImportError as exc:
        raise UnfitError(f"{exc}; run: make setup") from exc
    obstacle = cuda_obstacle()
    if device.startswith("cuda") and obstacle is not None:
        raise UnfitError(
            f"{device} is asked for, but CUDA cannot be used: {obstacle}; install maskmill[cuda]"
        )
    where = f"CPU ({obstacle})" if obstacle is not None else "CUDA"
    return f"{ort.__version__}, detection would run on {'CPU' if device == 'cpu' else where}"


def _own_redis() -> str:
    from producer.services import find_redis_server

    return find_redis_server()


def _broker() -> str:
    from common.broker import broker_version, make_app
    from common.settings import read_settings

    settings = read_settings()
    return broker_version(make_app(settings), settings)


def _database() -> str:
    from common.database import database_version
    from common.schema import require_current
    from common.settings import read_settings

    url = read_settings().database_url
    require_current(url)
    return database_version(url)
