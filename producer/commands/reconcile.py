"""`maskmill reconcile`."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import click

from producer.commands.setting_flags import given_settings, with_setting_flags


@click.command("reconcile")
@click.option(
    "--every", "every_s", type=click.FloatRange(min=0.1), metavar="S", help="Look again every S seconds."
)
@click.option(
    "--elected", is_flag=True, help="With --every: only one of several such processes works at a time."
)
@with_setting_flags(
    "broker_url", "database_url", "chunk_size", "high_water", "visibility_timeout_s", "log_level"
)
def command(every_s: float | None, elected: bool, **flags: Any) -> None:
    """Look after all jobs: send again what was lost, feed what has no producer, finish what is complete.

    Workers contain it: of all workers on one database one does it. This command is for doing it by hand, or
    where no worker should.
    """
    from common.broker import make_app
    from common.checks import require_broker
    from common.database import engine_for
    from common.logs import configure_logging
    from common.schema import require_current
    from common.settings import read_settings
    from producer.feed import QUIET_S
    from producer.reconcile import Reconciler, reconcile_for_ever
    from producer.signals import Interrupted, stop_signals

    settings = read_settings(**given_settings(flags))
    configure_logging(settings)
    require_current(settings.database_url)
    app = make_app(settings)
    require_broker(app, settings)
    engine = engine_for(settings.database_url)
    reconciler = Reconciler(engine, app, settings)
    if every_s is None:
        sent = reconciler.look()
        # What is lost shows by nothing being under way for a while.
        time.sleep(QUIET_S + 0.5)
        click.echo(f"{sent + reconciler.look()} images sent")
        return
    with contextlib.suppress(Interrupted), stop_signals():
        reconcile_for_ever(reconciler, engine, every_s, is_elected=elected)
