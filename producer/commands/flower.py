"""`maskmill flower`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from producer.commands.setting_flags import with_setting_flags


@click.command("flower")
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=5555, show_default=True, help="Its port.")
@click.option(
    "--basic-auth-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Logins, a line user:password each; one may be given in MASKMILL_FLOWER_BASIC_AUTH.",
)
@with_setting_flags("broker_url", "log_level", "log_file")
def command(
    address: str,
    port: int,
    basic_auth_file: Path | None,
    broker_url: str | None,
    log_level: str | None,
    log_file: str | None,
) -> None:
    """Show workers and tasks of the configured broker in a browser; nothing can be changed there.

    Another address than loopback needs a login. Flower's API wants one even there.
    """
    from common.broker import broker_version, make_app
    from common.logs import configure_logging
    from common.settings import read_settings
    from producer.flower import LOGIN_VARIABLE, read_logins, require_login, serve_flower

    settings = read_settings(broker_url=broker_url, log_level=log_level, log_file=log_file)
    logins = read_logins(os.environ.get(LOGIN_VARIABLE), basic_auth_file)
    require_login(address, logins)
    app = make_app(settings)
    broker_version(app, settings)
    configure_logging(settings)
    serve_flower(app, address=address, port=port, logins=logins, log_level=settings.log_level)
