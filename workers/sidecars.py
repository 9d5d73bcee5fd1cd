"""Processes beside a worker: they begin when it is ready and end with it, however that ends.

They are processes of their own since the worker's main process forks: it must not open a database
connection or start threads (spec/reliability.md §2).
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile

from common.children import end_with_parent
from common.settings import Settings
from workers.metrics.sidecar import start_sidecar

log = logging.getLogger("maskmill.worker")

_RUN_VARIABLE = "MASKMILL_RUN"
"""Set by `maskmill run`, which looks after its job itself."""


class Sidecars:
    """The processes beside one worker."""

    def __init__(self, settings: Settings) -> None:
        self._commands: list[list[str]] = []
        if _RUN_VARIABLE not in os.environ and settings.reconcile_every_s > 0:
            every = str(settings.reconcile_every_s)
            self._commands.append(["producer.cli", "reconcile", "--every", every, "--elected"])
        self._has_metrics = settings.metrics_port is not None
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start them; what they write goes where the worker's log goes."""
        for command in self._commands:
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-P", "-m", *command],
                    stdin=subprocess.DEVNULL,
                    # Away from the user's folder, where a `workers` or `common` of theirs may lie.
                    cwd=tempfile.gettempdir(),
                    # Ctrl-C on the terminal ends the worker in order, and with it these.
                    start_new_session=True,
                    preexec_fn=end_with_parent(),
                )
            )

        if self._has_metrics:
            self._processes.append(start_sidecar())

    def stop(self) -> None:
        """End them."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
