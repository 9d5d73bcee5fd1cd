"""Logging: one format, to the terminal and, where asked, to a file."""

from __future__ import annotations

import logging
import sys

from common.settings import Settings

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_WORKER_FORMAT = "%(asctime)s %(levelname)s %(processName)s[%(process)d] %(name)s %(message)s"


def configure_logging(settings: Settings, *, process: bool = False, quiet: bool = False) -> None:
    """Set up the root logger of this process.

    Args:
        process: name the process in each line, as in a worker with children.
        quiet: nothing below errors on the terminal; the file gets everything.
    """
    formatter = logging.Formatter(_WORKER_FORMAT if process else _FORMAT)
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.ERROR if quiet else settings.log_level)
    handlers: list[logging.Handler] = [terminal]
    if settings.log_file is not None:
        settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(settings.log_file))
    root = logging.getLogger()
    root.handlers.clear()
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(settings.log_level)
    # These two write a line per connection and per migration step.
    for chatty in ("alembic", "kombu", "amqp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
