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
from collections.abc import Callable

from common.children import RUN_VARIABLE, end_with_parent
from common.settings import Settings
from workers.metrics.sidecar import start_sidecar

log = logging.getLogger("maskmill.worker")


class Sidecars:
    """The processes beside one worker."""

    def __init__(self, settings: Settings) -> None:
        self._beginnings: dict[str, Callable[[], subprocess.Popen[bytes]]] = {}
        # `maskmill run` looks after its job itself.
        if RUN_VARIABLE not in os.environ and settings.reconcile_every_s > 0:
            self._beginnings["reconcile"] = lambda: _start_reconcile(settings.reconcile_every_s)
        if settings.metrics_port is not None:
            self._beginnings["metrics"] = start_sidecar
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._is_on = False

    def start(self) -> None:
        """Start them; what they write goes where the worker's log goes."""
        self._is_on = True
        self.check()

    def check(self) -> None:
        """Start again what has ended."""
        if not self._is_on:
            return
        for name, begin in self._beginnings.items():
            process = self._processes.get(name)
            if process is None or process.poll() is not None:
                if process is not None:
                    log.warning("the process beside this worker (%s) ended, starting it again", name)
                self._processes[name] = begin()

    def stop(self) -> None:
        """End them."""
        self._is_on = False
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start_reconcile(every_s: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "producer.cli", "reconcile", "--every", str(every_s), "--elected"],
        stdin=subprocess.DEVNULL,
        # Away from the user's folder, where a `workers` or `common` of theirs may lie.
        cwd=tempfile.gettempdir(),
        # Ctrl-C on the terminal ends the worker in order, and with it this.
        start_new_session=True,
        preexec_fn=end_with_parent(),
    )
