"""Serving the page of metrics over HTTP."""

from __future__ import annotations

import logging

from prometheus_client import CollectorRegistry, start_http_server

from common.broker import make_app
from common.errors import UnfitError
from common.settings import Settings
from workers.metrics.collector import MaskmillCollector

log = logging.getLogger("maskmill.metrics")


def start_metrics(settings: Settings, address: str, port: int) -> None:
    """Begin to serve the page, in threads of this process.

    Raises:
        UnfitError: address or port cannot be had.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MaskmillCollector(settings, make_app(settings)))
    try:
        start_http_server(port, addr=address, registry=registry)
    except OSError as exc:
        raise UnfitError(f"metrics cannot be served on {address}:{port}: {exc.strerror or exc}") from exc
    log.info("metrics on http://%s:%d/metrics", address, port)
