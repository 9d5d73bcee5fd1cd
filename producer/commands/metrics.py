"""`maskmill metrics`."""

from __future__ import annotations

import threading

import click

from producer.commands.setting_flags import with_setting_flags

_DEFAULT_PORT = 9808


@click.command("metrics")
@click.option(
    "--metrics-address", metavar="ADDRESS", help="Address to listen on.  [MASKMILL_METRICS_ADDRESS]"
)
@click.option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    metavar="PORT",
    help=f"Its port, {_DEFAULT_PORT} if not set.  [MASKMILL_METRICS_PORT]",
)
@with_setting_flags("broker_url", "database_url", "chunk_size", "log_level", "log_file")
def command(**flags: str | int | None) -> None:
    """Serve Prometheus metrics of all jobs and workers, read from the configured broker and database.

    The page names jobs by their eight digits; it holds no path and no secret.
    """
    from common.database import engine_for
    from common.logs import configure_logging
    from common.settings import read_settings
    from producer.signals import Interrupted, stop_signals
    from workers.metrics.server import start_metrics

    settings = read_settings(**flags)
    configure_logging(settings)
    # A URL that cannot be understood is refused now; a database that is away is shown as down.
    engine_for(settings.database_url)
    try:
        with stop_signals():
            start_metrics(settings, settings.metrics_address, settings.metrics_port or _DEFAULT_PORT)
            threading.Event().wait()
    except Interrupted:
        return
