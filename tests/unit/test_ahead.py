"""The worker that `run` starts ahead: what it loads, how it hears its word, and how it ends without one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

from common.settings import read_settings
from producer.ahead import WorkerAhead
from producer.cli import cli
from producer.commands.run import _worker_ahead
from producer.machine import WorkerPlan
from producer.services import PrivateServices

BECOME = """
import os, sys
import producer.ahead as ahead
ahead._load = lambda: None
stage = ahead.await_word()
print(stage, os.getcwd(), repr(os.environ["ONE"]), sys.stdin.read(), flush=True)
print("wrong", file=sys.stderr)
"""


def python(program: str, standard_input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", program], input=standard_input, capture_output=True)


def process_of(ahead: WorkerAhead) -> subprocess.Popen[bytes]:
    assert ahead._process is not None
    return ahead._process


def test_it_becomes_what_its_word_says(tmp_path: Path) -> None:
    log = tmp_path / "lög.txt"
    log.write_text("before\n")
    word = {"stage": "all", "environment": {"ONE": "1\udcff"}, "folder": str(tmp_path), "log": str(log)}
    done = python(BECOME, json.dumps(word).encode() + b"\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert log.read_text() == f"before\nall {tmp_path} '1\\udcff' \nwrong\n"


@pytest.mark.parametrize("line", [b"", b'{"stage": "all", "environment"'], ids=["nothing", "half a word"])
def test_without_a_word_it_ends_quietly(line: bytes) -> None:
    done = python(BECOME, line)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux shows them")
def test_what_it_loads_survives_a_fork_and_depends_on_no_setting() -> None:
    program = """
        import os, sys, tempfile
        import producer.commands.worker
        opened = os.listdir("/proc/self/fd")
        import producer.ahead
        producer.ahead._load()
        assert os.listdir("/proc/self/fd") == opened
        assert len(os.listdir("/proc/self/task")) == 1
        assert not {"onnxruntime", "workers.app"} & set(sys.modules)
        assert "cv2" in sys.modules
        assert tempfile.tempdir is None
    """
    done = python("if True:" + program)
    assert done.returncode == 0, done.stderr.decode()


def test_little_is_left_to_be_imported_after_the_word() -> None:
    program = """
        import sys
        import producer.ahead
        producer.ahead._load()
        before = set(sys.modules)
        import workers.app
        print(len(set(sys.modules) - before))
    """
    # Of 1500.
    assert int(python("if True:" + program).stdout) < 20


def test_it_ends_when_nobody_can_give_it_a_word_any_more() -> None:
    with WorkerAhead({}) as ahead:
        process = process_of(ahead)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0
        assert ahead.give_word("all", {}, "/", os.devnull) is None


def test_it_is_ended_and_collected_where_it_is_not_needed() -> None:
    with WorkerAhead({"ONE": "1"}) as ahead:
        process = process_of(ahead)
        environment = psutil.Process(process.pid).environ()
        assert (environment["ONE"], environment["MASKMILL_RUN"]) == ("1", ahead.token)
    assert process.returncode is not None
    assert not psutil.pid_exists(process.pid)


def test_one_that_has_died_is_given_no_word(tmp_path: Path) -> None:
    with WorkerAhead({}) as ahead:
        process = process_of(ahead)
        process.kill()
        # It may not be seen to be dead yet.
        assert ahead.give_word("all", {}, str(tmp_path), os.devnull) in (None, process)
        process.wait()
        assert ahead.give_word("all", {}, str(tmp_path), os.devnull) is None


def test_a_word_is_given_once(tmp_path: Path) -> None:
    with WorkerAhead({}) as ahead:
        process = process_of(ahead)
        assert ahead.give_word("all", {}, str(tmp_path), os.devnull) is process
        assert ahead.give_word("all", {}, str(tmp_path), os.devnull) is None
    # It is its new owner's.
    assert process.returncode is None
    process.kill()
    process.wait()


def test_a_worker_that_forks_takes_its_place_on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    detect, augment = WorkerPlan("detect", 1, "cuda:0"), WorkerPlan("augment", 3, "auto")
    with WorkerAhead({}) as ahead:
        services = PrivateServices(read_settings(device="cuda:0", workers=3), [detect, augment], ahead)
        assert services.record.token == ahead.token
        # Its processes do not fork: CUDA does not survive it.
        assert services._started_ahead(detect) is None
        given: list[Any] = []
        monkeypatch.setattr(ahead, "give_word", lambda *word: given.append(word))
        services._started_ahead(augment)
        services.stop()
    ((stage, environment, folder, log),) = given
    assert (stage, folder) == ("augment", str(services.record.folder))
    assert Path(log).parent == services.record.folder
    expected = {"MASKMILL_WORKERS": "3", "MASKMILL_DEVICE": "auto", "TMPDIR": folder}
    assert expected.items() <= environment.items()


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        ({"dry_run": True}, {}),
        ({"workers": "0"}, {}),
        ({"workers": "0"}, {"MASKMILL_WORKERS": "2"}),
        ({}, {"MASKMILL_WORKERS": "0"}),
    ],
)
def test_a_run_without_workers_starts_none(
    flags: dict[str, Any], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASKMILL_WORKERS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = _worker_ahead({"dry_run": False, "workers": None, "models": None, **flags})
    assert isinstance(found, contextlib.nullcontext)


def test_the_option_is_not_for_people() -> None:
    answer = CliRunner().invoke(cli, ["worker", "--help"])
    assert answer.exit_code == 0
    assert "--on-word" not in answer.output
