"""Logging: one format, to the terminal and, where asked, to a file."""

from __future__ import annotations

import logging
import sys

from common.settings import Settings

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_WORKER_FORMAT = "%(asctime)s %(levelname)s %(processName)s[%(process)d] %(name)s %(message)s"


class _Terminal(logging.Handler):
    """Writes to whatever standard error is now: a progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        print(self.format(record), file=sys.stderr, flush=True)


def configure_logging(
    settings: Settings, *, process: bool = False, terminal_level: int | str | None = None
) -> None:
    """Set up the root logger of this process.

    Args:
        process: name the process in each line, as in a worker with children.
        terminal_level: least level shown on the terminal; default that of the settings. The file gets
            everything from the settings' level on.
    """
    formatter = logging.Formatter(_WORKER_FORMAT if process else _FORMAT)
    terminal = _Terminal()
    terminal.setLevel(terminal_level or settings.log_level)
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
