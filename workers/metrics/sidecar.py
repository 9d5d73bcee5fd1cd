"""Start the metrics of a worker as a process of its own; imports nothing that must not be forked."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile


def start_sidecar() -> subprocess.Popen[bytes]:
    """Start `workers.metrics` with this process's environment; it ends with this process."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "workers.metrics", "--parent", str(os.getpid())],
        stdin=subprocess.DEVNULL,
        # Away from the user's folder, where a `workers` or `common` of theirs may lie.
        cwd=tempfile.gettempdir(),
        # Ctrl-C on the terminal ends the worker in order, and with it this.
        start_new_session=True,
    )
