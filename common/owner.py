"""Owners: which process holds a claim, and whether it still lives."""

from __future__ import annotations

import os
import socket
from functools import lru_cache

import psutil


def this_owner() -> str:
    """`host:pid:start` of this process; the start time tells a reused pid from the owner."""
    return _owner_of(os.getpid())


@lru_cache(maxsize=4)
def _owner_of(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.2f}"


def process_name(owner: str) -> str:
    """`host:pid`, what the rows show."""
    return owner.rpartition(":")[0]


def is_known_dead(owner: str) -> bool:
    """The owner ran on this machine and is gone; of another machine nothing can be known."""
    host, pid, start = owner.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    return not is_alive(int(pid), float(start))


def is_alive(pid: int, start: float) -> bool:
    """A process with this pid that began at this time (seconds since 1970) runs and is no zombie."""
    try:
        process = psutil.Process(pid)
        # Start times are rounded to 0.01 s in what is written down.
        return abs(process.create_time() - start) < 0.05 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
