"""Ports for servers that a test starts."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

_PORTS = range(15000, 32000)
"""Below those from which Linux takes one for whoever does not care (from 32768 on): nobody gets it in between."""


def free_port() -> int:
    """A port of this machine that nobody listens on, and that no other test process is given while this one lives."""
    folder = Path(tempfile.gettempdir()) / f"maskmill-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for port in random.sample(_PORTS, len(_PORTS)):
        # Held to the end of the process. The children of a test do not inherit it.
        lock = os.open(folder / str(port), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            continue
        return port
    raise RuntimeError("no port is free")
