"""What a run learns of the starts of its workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.starts import STARTS_VARIABLE, noted_start, vain_starts
from producer.services import cause_of_death


def test_only_starts_since_the_last_good_one_are_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "starts"
    assert vain_starts(path) == 0
    monkeypatch.setenv(STARTS_VARIABLE, str(path))
    one = noted_start()
    one.__enter__()
    assert vain_starts(path) == 1
    with noted_start():
        assert vain_starts(path) == 2
    assert vain_starts(path) == 0
    with pytest.raises(ValueError), noted_start():
        raise ValueError
    assert vain_starts(path) == 0
    # A process that dies says no more.
    dead = noted_start()
    dead.__enter__()
    assert vain_starts(path) == 1


def test_nothing_is_noted_where_nobody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STARTS_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    with noted_start():
        assert list(tmp_path.iterdir()) == []


TRACEBACK = """\
Traceback (most recent call last):
  File "workers/app.py", line 14, in <module>
    from celery import Task, signals
ImportError: libz.so.1: cannot open shared object file
"""
POOL = """\
Process 'ForkPoolWorker-1' pid:26892 exited with 'signal 11 (SIGSEGV)'
2026-11-21 19:00:00,371 CRITICAL MainProcess[25435] celery.worker Unrecoverable error: WorkerLostError('Could not …')
Traceback (most recent call last):
    raise WorkerLostError('Could not start worker processes')
billiard.exceptions.WorkerLostError: Could not start worker processes
"""


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (TRACEBACK, "ImportError: libz.so.1: cannot open shared object file"),
        (
            TRACEBACK + "sys:1: RuntimeWarning: bye\n",
            "ImportError: libz.so.1: cannot open shared object file",
        ),
        (POOL, "a process of its pool ended: signal 11 (SIGSEGV)"),
        (POOL + TRACEBACK, "ImportError: libz.so.1: cannot open shared object file"),
        ("hello\nmaskmill: the model rfb is missing\n", "the model rfb is missing"),
        ("hello\nlast words\n", "last words"),
        ("", "it said nothing"),
    ],
)
def test_the_cause_of_a_death_is_the_last_error_of_its_log(log: str, cause: str) -> None:
    assert cause_of_death(log.splitlines()) == cause
