"""Flower, Celery's window on workers and tasks, started so that it can be looked at and nothing more.

Its own defaults listen on every interface, let anyone read the arguments of tasks, and give whoever logs in
the control of the workers (spec/reliability.md §4). Flower is a view; the truth is in SQL.
"""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any

from celery import Celery

from common.errors import UnfitError, UsageError

LOGIN_VARIABLE = "MASKMILL_FLOWER_BASIC_AUTH"
"""Read here alone, and no setting: settings reach every worker and are shown by `doctor`."""

_FIXED_OPTIONS = {
    # 403 for whatever changes something: shutdown, revoke, apply.
    "read_only": "True",
    # About 5 kB each: levels off at 124 MB, while the default of 100,000 goes to 550 MB (E15b).
    "max_tasks": "10000",
    "max_workers": "200",
    "purge_offline_workers": "300",
    # What it would keep is a pickle.
    "persistent": "False",
    # Otherwise it runs a `flowerconfig.py` that lies in the current folder.
    "conf": os.devnull,
}

# Of Flower's own variables those that neither open a door nor widen the limits above.
_VARIABLES_LEFT = frozenset(
    f"FLOWER_{name}"
    for name in (
        "AUTO_REFRESH",
        "CA_CERTS",
        "CERTFILE",
        "COOKIE_SECRET",
        "INSPECT_TIMEOUT",
        "KEYFILE",
        "NATURAL_TIME",
        "TASKS_COLUMNS",
        "URL_PREFIX",
    )
)


def is_loopback(address: str) -> bool:
    """Only this machine can reach the address; a name other than `localhost` is not trusted to be one."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def read_logins(given: str | None, file: Path | None) -> list[str]:
    """The logins `user:password`: the one given and those of a file, one a line; `#` begins a comment.

    Raises:
        UsageError: a login is malformed, or the file cannot be read; no password is repeated.
    """
    logins = [given.strip()] if given and given.strip() else []
    if file is not None:
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as exc:
            raise UsageError(f"the logins in {file} cannot be read: {exc}") from exc
        found = [line for line in lines if line and not line.startswith("#")]
        if not found:
            raise UsageError(f"{file} holds no login; expected a line user:password")
        logins += found
    for login in logins:
        user, _, password = login.partition(":")
        # Flower compares as ASCII and fails on anything else.
        if not (user and password and login.isascii() and login.isprintable()):
            raise UsageError(
                f"{LOGIN_VARIABLE} or a line of the file must be user:password in printable ASCII"
            )
    return logins


def require_login(address: str, logins: list[str]) -> None:
    """Refuse to listen where others can reach it, unless they have to log in.

    Raises:
        UsageError: another address than loopback without a login.
    """
    if not (logins or is_loopback(address)):
        raise UsageError(
            f"--address {address or '(empty)'} can be reached from other machines, which needs a login: "
            f"set {LOGIN_VARIABLE}=user:password or give --basic-auth-file"
        )


def serve_flower(app: Celery, *, address: str, port: int, logins: list[str], log_level: str) -> None:
    """Run Flower in this process until it is told to stop.

    Logins stay in memory: neither a command line nor a file of ours shows them.

    Raises:
        UsageError: another address than loopback without a login.
        UnfitError: address or port cannot be had.
    """
    require_login(address, logins)
    for name in [name for name in os.environ if name.startswith("FLOWER_")]:
        if name not in _VARIABLES_LEFT:
            del os.environ[name]

    from tornado.options import options

    _close_metrics()
    _hush_errors()
    options.basic_auth = logins
    chosen = {**_FIXED_OPTIONS, "address": address, "port": str(port), "logging": log_level.lower()}
    try:
        app.start(["flower", *(f"--{name}={value}" for name, value in chosen.items())])
    except OSError as exc:
        raise UnfitError(f"Flower cannot listen on {address}:{port}: {exc.strerror}") from exc


def _close_metrics() -> None:
    """Ask for the login on `/metrics` too, which Flower leaves open; `/healthcheck` says only OK."""
    from flower import urls
    from flower.views.monitor import Metrics
    from tornado.web import authenticated

    class GuardedMetrics(Metrics):  # type: ignore[misc]
        """Flower's counters, for those who may see the rest of it."""

        @authenticated
        async def get(self) -> None:
            """Write them."""
            await super().get()

    urls.handlers[:] = [
        (entry[0], GuardedMetrics) if isinstance(entry, tuple) and entry[1] is Metrics else entry
        for entry in urls.handlers
    ]


def _hush_errors() -> None:
    """Show of an error its kind alone: its text and its traceback name files."""
    from flower import events

    class DiscreetState(events.EventsState):  # type: ignore[misc]
        """Flower's memory of events, without the words of errors."""

        def event(self, event: dict[str, Any]) -> None:
            """Take in one event."""
            kept = {name: value for name, value in event.items() if name != "traceback"}
            if kept.get("exception"):
                kept["exception"] = str(kept["exception"]).partition("(")[0]
            super().event(kept)

    events.EventsState = DiscreetState
