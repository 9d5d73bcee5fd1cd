"""A run that is interrupted, killed or robbed of its helpers loses nothing and leaves nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import psutil
import pytest

from producer.locks import output_lock
from tests.conftest import Command, wait_until
from tests.faults.asked import holding
from tests.oracle import check, read_facts, tree

RUN = "MASKMILL_RUN"
PICTURES = 20
ENV = {"MASKMILL_CHUNK_SIZE": "1"}
FLAGS = ["--n-augmentations", 2, "--save-full", "always", "--workers", 2]


@pytest.fixture(scope="module")
def pictures(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with a face: long enough to be caught in the middle."""
    folder = tmp_path_factory.mktemp("many")
    for i in range(PICTURES):
        shutil.copy(photographs / "large.webp", folder / f"{i:02}.webp")
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    session_command: Command, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[bytes, str]:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert session_command("run", "--input", pictures, "--output", out, *FLAGS).rc == 0
    assert check(out).states == {"done": PICTURES}
    return tree(out)


class Running:
    """A run that has finished some images and not all, and is held there until `go_on`."""

    def __init__(self, maskmill: Command, pictures: Path, out: Path) -> None:
        self.maskmill = maskmill
        self.out = out
        self.arguments = ["run", "--input", pictures, "--output", out, *FLAGS]
        self._released = out.with_name("released")
        env = ENV | holding("store", self._released, skip=3)
        self.process: subprocess.Popen[bytes] = maskmill.start(*self.arguments, env=env)
        # Two processes of three images each.
        wait_until(lambda: self.done() >= 6 or self.process.poll() is not None, "the first images")
        assert self.process.poll() is None, "it ended before it could be disturbed"
        assert self.done() < PICTURES
        self.redis = self.private_redis()

    def go_on(self) -> None:
        """Let the rest be done; called after the disturbance."""
        self._released.touch()

    def done(self) -> int:
        path = self.out / "maskmill.db"
        if not path.exists():
            return 0
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return int(database.execute("SELECT count(*) FROM images WHERE status = 'done'").fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # no table yet
        finally:
            database.close()

    def workers(self) -> list[psutil.Process]:
        """The worker and its children."""
        return [one for one in self.maskmill.processes(RUN) if "worker" in " ".join(one.cmdline())]

    def private_redis(self) -> psutil.Process:
        """Found as a child: it writes over the memory that shows its environment."""
        (server,) = (one for one in psutil.Process(self.process.pid).children() if "redis" in one.name())
        return server

    def assert_clean(self) -> None:
        """No process, no private folder and no temporary file is left."""
        assert self.maskmill.processes() == []
        wait_until(lambda: not self.redis.is_running(), "the end of the private Redis")
        assert list(self.maskmill.temporary.glob("maskmill-*")) == []
        assert not [path for path in tree(self.out) if os.path.basename(path).startswith(b".")]

    def finish(self, undisturbed: dict[bytes, str]) -> None:
        """The same command again: everything is there, and what was done is not done again."""
        before = read_facts(self.out)
        # Only what is recorded: workers of a killed command may still be writing, and temporary files come and go.
        done = {path for path, row in before.images.items() if row["status"] == "done"}
        written = {
            artifact["path"]: self.mtime(artifact["path"])
            for path in done
            for artifact in before.artifacts[path]
        }
        answer = self.maskmill(*self.arguments)
        assert answer.rc == 0, answer.stderr
        after = check(self.out)
        assert tree(self.out) == undisturbed
        for path in done:
            for column in ("augmented_by", "finished_at", "detected_by", "attempts"):
                assert after.images[path][column] == before.images[path][column]
        assert {path: self.mtime(path) for path in written} == written
        assert len(done) >= 6
        self.assert_clean()

    def mtime(self, path: bytes) -> int:
        """When an artifact was written, ns."""
        return os.stat(os.path.join(os.fsencode(self.out), path)).st_mtime_ns


@pytest.fixture
def running(maskmill: Command, pictures: Path, undisturbed: dict[bytes, str], tmp_path: Path) -> Running:
    return Running(maskmill, pictures, tmp_path / "out")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
def test_an_interrupted_run_ends_in_order_and_goes_on_where_it_stopped(
    running: Running, undisturbed: dict[bytes, str], number: signal.Signals
) -> None:
    running.process.send_signal(number)
    running.go_on()
    answer = running.maskmill.end_of(running.process)
    assert answer.rc == 130
    assert "Traceback" not in answer.stderr
    running.assert_clean()
    assert (running.out / "logs.csv").exists()
    running.finish(undisturbed)


def test_the_run_after_a_killed_one_clears_up_and_goes_on(
    running: Running, undisturbed: dict[bytes, str]
) -> None:
    running.process.kill()
    running.go_on()
    running.maskmill.end_of(running.process)
    running.finish(undisturbed)


@pytest.mark.soak
def test_everything_killed_at_once_is_made_good_by_the_next_run(
    running: Running, undisturbed: dict[bytes, str]
) -> None:
    running.process.send_signal(signal.SIGSTOP)  # so that it cannot start anything again
    running.maskmill.kill_all()
    running.go_on()
    running.maskmill.end_of(running.process)
    running.finish(undisturbed)


def test_a_second_run_on_the_same_output_is_refused(running: Running, undisturbed: dict[bytes, str]) -> None:
    running.process.send_signal(signal.SIGSTOP)  # also where it holds its database
    answer = running.maskmill(*running.arguments)
    running.process.send_signal(signal.SIGCONT)
    running.go_on()
    assert answer.rc == 2
    assert "in use by another run" in answer.stderr
    assert running.maskmill.end_of(running.process).rc == 0
    check(running.out)
    assert tree(running.out) == undisturbed


def test_a_second_run_is_refused_while_the_first_makes_its_tables(
    maskmill: Command, pictures: Path, tmp_path: Path
) -> None:
    """Whose output it is, is asked before the database is: that may be locked just then."""
    out = tmp_path / "out"
    out.mkdir()
    with (
        output_lock(os.fsencode(out)),
        contextlib.closing(sqlite3.connect(out / "maskmill.db", isolation_level=None)) as database,
    ):
        database.execute("BEGIN EXCLUSIVE")
        database.execute("CREATE TABLE half (id INTEGER)")
        answer = maskmill("run", "--input", pictures, "--output", out, *FLAGS)
    assert answer.rc == 2
    assert "in use by another run" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_a_killed_pool_process_loses_no_image(running: Running, undisturbed: dict[bytes, str]) -> None:
    workers = running.workers()
    parents = {one.pid for one in workers}
    children = [one for one in workers if one.ppid() in parents]
    assert children
    children[0].kill()
    running.go_on()
    assert running.maskmill.end_of(running.process).rc == 0
    check(running.out)
    assert tree(running.out) == undisturbed


def test_a_killed_worker_and_its_children_lose_no_image(
    running: Running, undisturbed: dict[bytes, str]
) -> None:
    for process in running.workers():
        process.kill()
    running.go_on()
    assert running.maskmill.end_of(running.process).rc == 0
    check(running.out)
    assert tree(running.out) == undisturbed


def test_a_killed_private_redis_loses_no_image(running: Running, undisturbed: dict[bytes, str]) -> None:
    running.redis.kill()
    running.go_on()
    answer = running.maskmill.end_of(running.process)
    assert answer.rc == 0, answer.stderr
    check(running.out)
    assert tree(running.out) == undisturbed
    running.assert_clean()
