"""A flag for each setting, of the same name; a command takes those that it uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])

_TEXTS = {
    "broker_url": ("URL", "Redis."),
    "database_url": ("URL", "SQLite or PostgreSQL."),
    "models": ("DIR", "Folder searched first for models."),
    "device": ("DEVICE", "auto, cpu or cuda:N."),
    "phases": ("HOW", "Models of a process open together, or in turn (serial); auto: by free device memory."),
    "workers": (
        "N",
        "Processes per stage, or auto; with `run` 0 means none: all in this process, for debugging.",
    ),
    "chunk_size": ("N", "Images a task, or auto: as many as take some seconds."),
    "high_water": ("N", "Messages that may wait in the queues before sending pauses."),
    "durability": ("HOW", "none, chunk or file: what is synced to disk, and how often."),
    "visibility_timeout_s": ("S", "A message that nobody acknowledged comes again after this."),
    "soft_time_limit_s": ("S", "A task that takes longer is taken apart."),
    "time_limit_s": ("S", "A task that takes longer is killed."),
    "log_level": ("LEVEL", "DEBUG, INFO, WARNING or ERROR."),
    "log_file": ("FILE", "Write the log there too."),
}
_PATHS = ("models", "log_file")


def setting_flags(*names: str) -> list[Callable[[_Function], _Function]]:
    """The click options of these settings."""
    return [
        click.option(
            f"--{name.replace('_', '-')}",
            name,
            metavar=_TEXTS[name][0],
            help=f"{_TEXTS[name][1]}  [MASKMILL_{name.upper()}]",
        )
        for name in names
    ]


def with_setting_flags(*names: str) -> Callable[[_Function], _Function]:
    """A decorator that gives a command the flags of these settings."""

    def decorate(function: _Function) -> _Function:
        for flag in reversed(setting_flags(*names)):
            function = flag(function)
        return function

    return decorate


def given_settings(flags: Mapping[str, Any]) -> dict[str, str]:
    """The settings among a command's flags that were given; paths made absolute."""
    return {
        name: os.path.abspath(flags[name]) if name in _PATHS else flags[name]
        for name in _TEXTS
        if flags.get(name) is not None
    }
