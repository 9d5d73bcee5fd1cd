"""The page of metrics beside a worker: `python -P -m workers.metrics --parent PID`.

A process of its own: the children of a worker do the work, and their parent must stay free of threads and
database connections (spec/reliability.md §2).
"""

from __future__ import annotations

import argparse
import logging
import os
import time

from common.errors import UnfitError
from common.logs import configure_logging
from common.settings import Settings, read_settings
from workers.metrics.server import start_metrics

log = logging.getLogger("maskmill.metrics")

_BUSY_RETRY_S = 5.0


def _serve_beside(settings: Settings, parent: int) -> None:
    """Serve while the parent lives. A port that is taken is waited for: another worker serves the page."""
    has_begun = False
    said = False
    while os.getppid() == parent:
        if not has_begun:
            try:
                start_metrics(settings, settings.metrics_address, settings.metrics_port or 0)
                has_begun = True
            except UnfitError as exc:
                if not said:
                    log.info("%s; waiting for it", exc)
                said = True
        time.sleep(1.0 if has_begun else _BUSY_RETRY_S)


def main() -> None:
    """Serve the page beside a worker; ends with it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--parent", type=int, required=True, help="process id of the worker")
    settings = read_settings()
    configure_logging(settings)
    _serve_beside(settings, parser.parse_args().parent)


if __name__ == "__main__":
    main()
