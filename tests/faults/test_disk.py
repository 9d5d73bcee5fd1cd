"""An output that cannot be written: full, or read-only. The job waits and goes on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.faultcheck import check
from tests.faults.cluster import FLAGS, MASKMILL, Cluster
from tests.faults.conftest import run_undisturbed
from tests.faults.pictures import write_photographs
from tests.faults.servers import missing_service, wait_until
from tests.faults.trial import Trial


@contextlib.contextmanager
def _tmpfs(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir()
    answer = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if answer.returncode != 0:
        missing_service("a small file system to fill cannot be mounted here (that needs root)")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def obstacle(cluster: Cluster) -> str:
    """What the job says that it waits for."""
    return str(cluster.rows("SELECT error FROM jobs")[0][0] or "")


def test_f13_a_full_disk_is_waited_for_without_a_half_file(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    """Every write fails as on a full disk, as long as a file stands there."""
    full = tmp_path / "full"
    full.touch()
    no_space = {"point": "write", "when": "after", "do": "no-space", "file": str(full)}
    trial = make_trial(32, faults=[no_space])
    trial.begin()
    wait_until(lambda: "No space left" in obstacle(trial.cluster), "the job to say what it waits for")
    assert trial.cluster.final() == 0
    full.unlink()
    trial.end("F13", "no space left", is_swept=True)
    assert obstacle(trial.cluster) == ""


@pytest.mark.soak
@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_f13_a_small_file_system_is_filled_and_emptied(
    make_trial: Callable[..., Trial], tmp_path: Path, fault: str
) -> None:
    count = 300
    pictures = write_photographs(tmp_path / "in", count)
    flags = ("--save-full", "always")
    expected = run_undisturbed(pictures, tmp_path / "undisturbed", count, *flags)
    disk = tmp_path / "disk"
    with _tmpfs(disk, "20m"):
        trial = make_trial(expected)
        cluster = trial.cluster
        cluster.output = disk / "out"
        cluster.output.mkdir()
        if fault == "full":
            with open(disk / "ballast", "wb") as ballast, contextlib.suppress(OSError):
                while os.statvfs(disk).f_bavail * 4096 > 2 << 20:
                    ballast.write(bytes(1 << 16))
                    ballast.flush()
        cluster.enqueue(pictures, *flags)
        if fault == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        cluster.start_worker()
        start = time.monotonic()
        wait_until(lambda: bool(obstacle(cluster)), "the job to say what it waits for")
        said = obstacle(cluster)
        time.sleep(5)
        stuck = cluster.final()
        assert stuck < count
        if fault == "full":
            (disk / "ballast").unlink()
        else:
            subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        paused_s = time.monotonic() - start
        trial.wait_to_go_on()
        assert ("No space left" if fault == "full" else "Read-only") in said
        trial.end(
            "F13",
            f"output {fault}",
            disturbances="1",
            notes=f"0 truncated files; {stuck} done before; paused {paused_s:.0f} s",
        )


@pytest.mark.soak
def test_f13_run_waits_for_a_full_disk_too(tmp_path: Path) -> None:
    """The database of `run` lies on the full disk as well."""
    pictures = write_photographs(tmp_path / "in", 200)
    disk = tmp_path / "disk"
    with _tmpfs(disk, "12m"):
        output = disk / "out"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MASKMILL_")}
        words = ["run", "--input", pictures, "--output", output, "--device", "cpu", *FLAGS]
        with open(tmp_path / "log", "wb") as log:
            run = subprocess.Popen(
                [str(MASKMILL), *map(str, words)],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        wait_until(lambda: bool(list(output.glob("*.jpg"))) if output.exists() else False, "the first files")
        ballast = open(disk / "ballast", "wb")  # noqa: SIM115 (closed when it is full)
        with contextlib.suppress(OSError):
            while True:
                ballast.write(bytes(4096))
                ballast.flush()
        with contextlib.suppress(OSError):
            ballast.close()
        time.sleep(8)
        assert run.poll() is None, (tmp_path / "log").read_text()
        (disk / "ballast").unlink()
        assert run.wait(120) == 0, (tmp_path / "log").read_text()
        findings = check(output, f"sqlite:///{output}/maskmill.db")
        assert findings.problems == []
        assert findings.states == {"done": 200}
