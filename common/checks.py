"""Start-up checks: a broker or library that cannot keep the promise is refused."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

import redis
from celery import Celery

from common.broker import broker_version, redis_client
from common.errors import UnfitError
from common.settings import Settings, hide_secret

_LIBRARIES = {"celery": (5, 7), "kombu": (5, 7)}
"""Before 5.7 workers stay silent after a reconnect, and a poison message loops for ever (spec §1)."""
_LEAST_REDIS = (6, 2, 20)
"""Before it a script could run code in the server (CVE-2025-49844)."""


def require_libraries() -> None:
    """Refuse versions of Celery and kombu that lose or repeat messages.

    Raises:
        UnfitError: names the library and what to install.
    """
    for name, least in _LIBRARIES.items():
        if _numbers(version(name)) < least:
            wanted = ".".join(map(str, least))
            raise UnfitError(f"{name} must be {wanted} or newer, found {version(name)}; run: make setup")


def require_broker(app: Celery, settings: Settings) -> None:
    """Refuse a shared Redis that may lose messages.

    The private one of `run` is exempt: its job lives in SQL. So is one under MASKMILL_BROKER_CHECKS=off.

    Raises:
        UnfitError: it does not answer, is too old, evicts keys, or keeps nothing on disk.
    """
    require_libraries()
    found = broker_version(app, settings)
    if settings.broker_checks == "off" or settings.broker_url.startswith("redis+socket://"):
        return
    where = hide_secret(settings.broker_url)
    number = found.partition(" ")[2]
    if _numbers(number) < _LEAST_REDIS:
        wanted = ".".join(map(str, _LEAST_REDIS))
        raise UnfitError(f"the broker {where} must be Redis {wanted} or newer, found {number}; upgrade it")
    with redis_client(app) as client:
        _require_config(client, where, "maxmemory-policy", "noeviction", "it would throw messages away")
        _require_config(client, where, "appendonly", "yes", "a restart would lose every message")


def _require_config(client: Any, where: str, name: str, wanted: str, otherwise: str) -> None:
    try:
        found = client.config_get(name).get(name)
    except redis.ResponseError:
        # A managed Redis may not tell its settings; then its owner answers for them.
        return
    if found is not None and found != wanted:
        raise UnfitError(
            f"the broker {where} has {name} {found}, which must be {wanted}: {otherwise}; "
            f"run: redis-cli config set {name} {wanted}"
        )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])
