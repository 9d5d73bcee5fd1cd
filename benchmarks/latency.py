"""How long one picture takes through an idle system: `python -m benchmarks.latency`, or `make latency`.

A Redis of its own, one worker process that has seen a picture before, SQLite; the jobs of `enqueue --wait`, in this process.
The floor is the same work by a plain loop (`benchmarks.ways.run_loop`), models loaded. The system ends a second time
when `enqueue` knows that the job is done and has written its `logs.csv`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import select

from benchmarks.job import bench_options
from benchmarks.pictures import KINDS, write_pictures
from benchmarks.ways import Way, run_loop
from common.children import end_with_parent
from common.models import Chunk, Image
from common.schema import upgrade
from common.settings import Settings, read_settings
from producer.remote import enqueue_job
from producer.request import make_request
from producer.services import find_redis_server

_START_S = 120.0


def main() -> None:
    """Measure and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=Path, default=Path("../shared/faces"))
    parser.add_argument("--kind", choices=KINDS, default="portrait")
    parser.add_argument("--repeat", type=int, default=15, help="pictures, one job each")
    parser.add_argument("--database-url", help="an empty PostgreSQL database; default: SQLite")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="latency-") as scratch:
        folder = Path(scratch)
        pictures = folder / "pictures"
        write_pictures(pictures, arguments.kind, arguments.repeat + 1, arguments.photographs)
        url = arguments.database_url or f"sqlite:///{folder}/l.db"
        upgrade(url)
        options = bench_options(None)
        socket = folder / "redis.sock"
        settings = read_settings(broker_url=f"redis+socket://{socket}", database_url=url, workers=1)
        processes = [_start_redis(folder, socket)]
        try:
            _wait_for(socket.exists)
            processes.append(_start_worker(folder, settings))
            paths = sorted(pictures.iterdir())
            # The first one waits for the worker and opens its models.
            _send(paths[0], folder / "out-first", settings)
            floors: list[float] = []
            taken: list[tuple[float, float, float]] = []
            loop = Way(1)
            for number, path in enumerate(paths[1:]):
                run_loop(loop, [path], options, folder)
                floors.append(loop.steady[-1])
                taken.append(_send(path, folder / f"out-{number}", settings))
            _print(floors, taken)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(20)


def _print(floors: Sequence[float], taken: Sequence[tuple[float, float, float]]) -> None:
    floor = 1e3 * statistics.median(floors)
    done, inside, known = (1e3 * statistics.median(column) for column in zip(*taken, strict=True))
    beyond = [1e3 * (whole - least) for (whole, _, _), least in zip(taken, floors, strict=True)]
    print(f"floor (plain loop, models loaded): {floor:.0f} ms")
    print(f"from its row to done: {done:.0f} ms, of which inside its two tasks {inside:.0f} ms")
    print(f"beyond the floor: {statistics.median(beyond):.0f} ms (largest {max(beyond):.0f} ms)")
    print(f"until `enqueue --wait` has its logs.csv, from the command's first step: {known:.0f} ms")


def _send(path: Path, output: Path, settings: Settings) -> tuple[float, float, float]:
    """Seconds from the row to done, inside the tasks, and of the whole command."""
    request = make_request(
        [str(path)], input_root=None, output=str(output), options=bench_options(None), skip_list=None, every_n=1,
        follow_symlinks=False, force=False, fail_fast=False,
    )  # fmt: skip
    start = time.time()
    engine, job, state = enqueue_job(request, settings, lambda *_: None, wait=True)
    known = time.time() - start
    if state != "done":
        raise SystemExit(f"the job ended as {state}")
    with engine.connect() as connection:
        finished = connection.scalars(select(Image.finished_at).where(Image.job_id == job.id)).one()
        parts = connection.scalars(select(Chunk.seconds).where(Chunk.job_id == job.id)).all()
    # The job is opened just before its row.
    return (finished or start) - job.started_at, sum(one["total"] for one in parts), known


def _start_redis(folder: Path, socket: Path) -> subprocess.Popen[bytes]:
    command = [find_redis_server(), "--port", "0", "--unixsocket", str(socket), "--dir", str(folder)]
    command += ["--appendonly", "yes", "--maxmemory-policy", "noeviction", "--save", ""]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=end_with_parent())


def _start_worker(folder: Path, settings: Settings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "producer.cli", "worker", "--workers", "1"]
    command += ["--broker-url", settings.broker_url, "--database-url", settings.database_url]
    with (folder / "worker.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=end_with_parent())


def _wait_for(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_S
    while not is_there():
        if time.monotonic() > deadline:
            raise SystemExit("the private Redis does not start")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
