"""One run per output: a lock that dies with its owner, and the traces of a run that died."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from common.children import RUN_VARIABLE
from common.errors import UsageError
from common.escaping import escape

_RECORD = b".maskmill-run.json"
_KILL_WAIT_S = 30.0


@contextlib.contextmanager
def output_lock(output: bytes) -> Iterator[None]:
    """Hold an output folder for this process.

    The lock is on the folder itself (flock): no file is left behind, and the kernel drops it when the
    process ends, however it ends.

    Raises:
        UsageError: another run holds it, or it cannot be opened.
    """
    try:
        descriptor = os.open(output, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as exc:
        raise UsageError(f"--output {escape(output)} cannot be opened: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise UsageError(
                f"--output {escape(output)} is in use by another run: wait for it, or give another folder"
            ) from exc
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class RunRecord:
    """What a run leaves to its successor: the token of its processes and its private folder."""

    token: str
    folder: Path


def write_record(output: bytes, record: RunRecord) -> None:
    """Note what this run starts."""
    path = Path(os.fsdecode(os.path.join(output, _RECORD)))
    path.write_text(json.dumps({"token": record.token, "folder": str(record.folder)}))


def remove_record(output: bytes) -> None:
    """The run ended in order."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(output, _RECORD))


def clear_traces(output: bytes) -> bool:
    """Kill the processes and remove the private folder that a killed run left; true if there was one."""
    path = os.path.join(output, _RECORD)
    try:
        with open(path, encoding="utf-8") as text:
            found = json.load(text)
        record = RunRecord(str(found["token"]), Path(found["folder"]))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        os.unlink(path)
        return False
    kill_processes(record)
    # The name is checked, since the record may have been written by anyone.
    folder = record.folder
    if folder.name.startswith("maskmill-") and folder.is_dir() and folder.stat().st_uid == os.getuid():
        shutil.rmtree(folder, ignore_errors=True)
    os.unlink(path)
    return True


def kill_processes(record: RunRecord) -> int:
    """SIGKILL every process of a run, children of children too; returns how many there were."""
    victims = [process for process in psutil.process_iter() if _belongs(process, record)]
    for process in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + _KILL_WAIT_S
    while any(_runs(process) for process in victims) and time.monotonic() < deadline:
        time.sleep(0.005)
    return len(victims)


def _runs(process: psutil.Process) -> bool:
    """Not gone, and no zombie: whoever inherits a dead child may take its time to ask for it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _belongs(process: psutil.Process, record: RunRecord) -> bool:
    """It works in the run's private folder, or carries its token.

    Redis writes its title over its environment, and a process may change its folder: both are asked.
    """
    with contextlib.suppress(psutil.Error, OSError):
        if process.pid == os.getpid():
            return False
        if process.cwd() == str(record.folder):
            return True
        return bool(process.environ().get(RUN_VARIABLE) == record.token)
    return False
