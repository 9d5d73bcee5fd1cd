"""Which file system a path lies on."""

from __future__ import annotations

import os
from pathlib import Path

NETWORK_TYPES = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "beegfs",
        "fuse.sshfs",
    }
)
"""File systems of other machines, on which SQLite's locks do not hold (sqlite.org/howtocorrupt.html)."""

_MOUNTS = Path("/proc/self/mounts")


def file_system_type(path: str, mounts: str | None = None) -> str | None:
    """The type of the file system that a path lies on, such as `ext4`; None where it cannot be told.

    Args:
        path: need not exist.
        mounts: text of a mount table; default that of this machine (Linux).
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(errors="surrogateescape")
        except OSError:
            return None
    real = os.path.realpath(path)
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        folder = fields[1].replace("\\040", " ")
        holds = real == folder or real.startswith(folder.rstrip("/") + "/")
        # Of equally long mount points the later one lies on top.
        if holds and (best is None or len(folder) >= best[0]):
            best = (len(folder), fields[2])
    return None if best is None else best[1]
