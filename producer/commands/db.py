"""`maskmill db`."""

from __future__ import annotations

import click

from producer.commands.setting_flags import with_setting_flags


@click.group("db")
def command() -> None:
    """Upgrade or check the configured database."""


@command.command("upgrade")
@with_setting_flags("database_url")
def upgrade_command(database_url: str | None) -> None:
    """Bring the database to the schema of this version; safe to repeat."""
    from common.schema import revision, upgrade
    from common.settings import hide_secret, read_settings

    url = read_settings(database_url=database_url).database_url
    upgrade(url)
    click.echo(f"{hide_secret(url)}: schema {revision(url)}")


@command.command("check")
@with_setting_flags("database_url")
def check_command(database_url: str | None) -> None:
    """Say whether the schema is that of this version; exit code 3 if not."""
    from common.schema import require_current, revision
    from common.settings import hide_secret, read_settings

    url = read_settings(database_url=database_url).database_url
    require_current(url)
    click.echo(f"{hide_secret(url)}: schema {revision(url)}, up to date")
