"""`maskmill worker`."""

from __future__ import annotations

import os
import socket
from typing import Any

import click

from common.large_pages import begin_again_with_large_pages
from common.pipeline import STAGES
from common.threads import one_thread_a_library
from producer.commands.setting_flags import given_settings, with_setting_flags


@click.command("worker")
@click.option(
    "--stage",
    type=click.Choice([*STAGES, "all"]),
    default="all",
    show_default=True,
    help="Which queues to work on.",
)
@click.option("--on-word", is_flag=True, hidden=True)
@with_setting_flags(
    "workers",
    "device",
    "phases",
    "models",
    "broker_url",
    "database_url",
    "durability",
    "visibility_timeout_s",
    "soft_time_limit_s",
    "time_limit_s",
    "log_level",
    "log_file",
)
def command(stage: str, on_word: bool, **flags: Any) -> None:
    """Work on the queues of the configured broker until it is told to stop.

    SIGTERM ends it in order: what is under way has 8 seconds, the rest goes back to the queue.
    """
    begin_again_with_large_pages()
    _set_environment(flags)
    if on_word:
        from producer.ahead import await_word

        stage = await_word()
    from common.children import RUN_VARIABLE
    from common.errors import UsageError
    from common.schema import require_current
    from common.settings import read_settings
    from common.weights import find

    settings = read_settings()
    if settings.worker_count < 1:
        raise UsageError("--workers must be at least 1 for a worker")
    require_current(settings.database_url)
    for model in {"detect": ("centerface",), "augment": ("dlib68",)}.get(stage, ("centerface", "dlib68")):
        find(model, None, settings.models)

    from workers.app import app

    if stage == "detect" and settings.device != "cpu":
        # CUDA does not survive a fork; the other pools fork, which is quicker.
        app.conf.worker_pool_start_method = "spawn"
    # Nobody hears the heartbeats on the private broker of `run`; sidecars are looked after at each.
    is_silent = RUN_VARIABLE in os.environ and settings.metrics_port is None
    # Not by Celery's command line: it imports every plugin there is, Flower too, 0.25 s.
    app.Worker(
        hostname=f"{stage}-{os.getpid()}@{socket.gethostname()}",
        queues=list(STAGES) if stage == "all" else [stage],
        pool="prefork",
        concurrency=settings.worker_count,
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=is_silent,
        loglevel=settings.log_level,
    ).start()


def _set_environment(flags: dict[str, Any]) -> None:
    """Make flags variables, which the children inherit; done before Celery and NumPy are imported."""
    for name, value in given_settings(flags).items():
        os.environ[f"MASKMILL_{name.upper()}"] = value
    # SIGTERM as soft shutdown: 10 of 10 stops within it (spec/reliability.md, finding 7).
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    one_thread_a_library()
