"""The worker that `run` starts before it knows what for: used, not needed, or dead, it changes nothing but the time."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.conftest import Command, wait_until
from tests.faults.asked import fault_environment, holding
from tests.oracle import check, tree

FLAGS = ["--crop-style", "buffalo", "--workers", 2]


def started_ahead(maskmill: Command) -> list[psutil.Process]:
    """The process that was started ahead, and those that were forked from it."""
    found = []
    for process in maskmill.processes("MASKMILL_RUN"):
        try:
            if "--on-word" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_the_process_started_ahead_does_the_work_and_one_in_its_place_does_the_same(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    ahead, instead = tmp_path / "ahead", tmp_path / "instead"
    released = tmp_path / "released"
    process = maskmill.start(
        "run", "--input", photographs, "--output", ahead, *FLAGS, env=holding("store", released, skip=0)
    )
    wait_until(lambda: len(started_ahead(maskmill)) == 3 or process.poll() is not None, "its two processes")
    assert len(started_ahead(maskmill)) == 3
    released.touch()
    answer = maskmill.end_of(process)
    assert (answer.rc, maskmill.processes()) == (0, []), answer.stderr
    assert check(ahead).states == {"done": 6, "missed": 1}

    # Nothing else imports that module in a worker.
    env = fault_environment([{"point": "import", "module": "producer.ahead", "do": "crash"}])
    answer = maskmill("run", "--input", photographs, "--output", instead, *FLAGS, env=env)
    assert (answer.rc, maskmill.processes()) == (0, []), answer.stderr
    assert check(instead).states == {"done": 6, "missed": 1}
    assert tree(instead) == tree(ahead)


def test_a_usage_error_leaves_no_process(maskmill: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = maskmill("run", "--input", tmp_path / "nothing", "--output", out)
    assert answer.rc == 2
    assert len(answer.stderr.splitlines()) == 1
    assert maskmill.processes() == []
    assert not out.exists()
    assert list(maskmill.temporary.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_ends_while_it_imports_leaves_no_process(
    maskmill: Command, photographs: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = maskmill.start("run", "--input", photographs, "--output", tmp_path / "out", *FLAGS)
    wait_until(lambda: len(maskmill.processes("MASKMILL_RUN")) > 0, "the process started ahead")
    process.send_signal(number)
    answer = maskmill.end_of(process)
    # Python ends itself with the signal where it came in the middle of code that a library has put together.
    assert answer.rc in ((130, -number) if number == signal.SIGINT else (-number,))
    assert len(answer.stderr.strip().splitlines()) == (1 if number == signal.SIGINT else 0), answer.stderr
    wait_until(lambda: maskmill.processes() == [], "the end of the process started ahead")
