"""The ways of doing the work that are measured: the floor, a plain loop, and the real command."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.watching import Watched, Watcher
from common.database import engine_for
from common.errors import UnfitError
from common.files import AtomicWriter, read_source
from common.images import decode_reduced
from common.options import JobOptions
from common.settings import read_settings
from producer.local import database_of
from workers.preview import preview_image
from workers.runtime import Runtime
from workers.times import PartTimes

COLUMNS = (
    *("read", "decode", "detect", "landmarks", "draw", "crop", "encode", "write"),
    *("sql", "queue", "other", "start", "idle"),
)
"""Parts of a run. `queue`: Celery, Redis and feeding; `other`: the rest inside a chunk; `start`: loading code and models
in all processes; `idle`: cores of the workers that did nothing between the first chunk and the last."""


@dataclass
class Way:
    """One way of doing the work: medians over its repetitions.

    Attributes:
        seconds: of the whole command.
        steady: from the first chunk to the end of the last one; of the loop without loading models.
        first_artifact: until the first file was there.
        cpu: part → CPU seconds of all processes (`idle`: seconds of cores), one dict a repetition.
        peaks_mb: role → largest resident memory of one process.
    """

    processes: int
    seconds: list[float] = field(default_factory=list)
    steady: list[float] = field(default_factory=list)
    first_artifact: list[float] = field(default_factory=list)
    cpu: list[dict[str, float]] = field(default_factory=list)
    peaks_mb: dict[str, float] = field(default_factory=dict)
    faces: int = 0

    def part(self, name: str) -> float:
        """Median of a part's seconds."""
        return statistics.median(one.get(name, 0.0) for one in self.cpu)

    def cpu_steady(self) -> float:
        """Median of the CPU seconds without `start`."""
        return statistics.median(
            sum(value for name, value in one.items() if name not in ("start", "idle")) for one in self.cpu
        )


def run_loop(way: Way, paths: Sequence[Path], options: JobOptions, scratch: Path) -> None:
    """One process, one picture after the other, without queue and database.

    Args:
        scratch: where the files go. They stay: for a minute after many files were deleted, ext4 takes ten times as
            long to make new ones (it passes over inodes that were freed just now).
    """
    runtime = Runtime(read_settings())
    start_cpu = time.process_time()
    runtime.detector(options)
    runtime.landmarker(options)
    load_cpu = time.process_time() - start_cpu
    way.faces = 0
    output = tempfile.mkdtemp(dir=scratch)
    times = PartTimes()
    for path in paths:
        with times.part("read"):
            data = read_source(os.fsencode(path), roots=None)
        with times.part("decode"):
            decoded = decode_reduced(data, None)
        name = os.fsencode(path.name)
        faces, files = preview_image(runtime, options, decoded, name, os.fsencode(path.stem), times)
        way.faces += faces
        with times.part("write"), AtomicWriter("none") as writer:
            for relative, content in files.items():
                writer.stage(os.path.join(os.fsencode(output), relative), content)
            writer.commit()
    seconds, cpu = times.seconds(), times.cpu_seconds()
    way.seconds.append(seconds["total"])
    way.steady.append(seconds["total"])
    way.cpu.append({**cpu, "start": load_cpu, "other": max(0.0, seconds["cpu"] - sum(cpu.values()))})


def run_command(
    way: Way, folder: Path, flags: Sequence[str], scratch: Path, profile: Path | None = None
) -> None:
    """The real command, with its own Redis, workers and database; its files stay in `scratch`, as with `run_loop`."""
    output = os.path.join(tempfile.mkdtemp(dir=scratch), "out")
    command = [sys.executable, "-P", "-m", "producer.cli", "run", "--input", str(folder)]
    command += ["--output", output, "--workers", str(way.processes), "--json", "--quiet", *flags]
    if profile is not None:
        # Beside this Python first: its folder need not be on PATH.
        found = shutil.which("py-spy", path=os.path.dirname(sys.executable)) or shutil.which("py-spy")
        if found is None:
            raise UnfitError("--profile needs py-spy, and there is none: pip install py-spy")
        sampler = [found, "record", "--subprocesses", "--idle", "--rate", "200", "--format", "raw"]
        command = [*sampler, "--output", str(profile), "--", *command]
    started = time.time()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with Watcher(process) as watcher:
        answer, _ = process.communicate()
    ended = time.time()
    if process.returncode != 0:
        raise SystemExit(f"the command ended with {process.returncode}: {' '.join(command)}")
    way.seconds.append(ended - started)
    # A profiler writes to standard output too.
    summary = next(line for line in answer.splitlines() if line.startswith("{"))
    way.faces = json.loads(summary)["faces"]
    chunks = _chunks_of(output)
    first = min(os.stat(path).st_mtime for path in Path(output).rglob("*") if path.suffix in (".png", ".jpg"))
    way.first_artifact.append(first - started)
    _add(way, watcher.by_role(), chunks, ended)


def _chunks_of(output: str) -> list[tuple[float, dict[str, Any]]]:
    engine = engine_for(database_of(os.fsencode(output)))
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT started_at, seconds FROM chunks ORDER BY started_at")).all()
    engine.dispose()
    return [(row.started_at, json.loads(row.seconds)) for row in rows]


def _add(
    way: Way, roles: dict[Any, list[Watched]], chunks: list[tuple[float, dict[str, Any]]], ended: float
) -> None:
    first = chunks[0][0]
    last = max(started + seconds["total"] for started, seconds in chunks)
    way.steady.append(last - first)
    cpu: dict[str, float] = defaultdict(float)
    for _, seconds in chunks:
        parts = seconds["cpu_parts"]
        for name, value in parts.items():
            cpu["sql" if name == "store" else name] += value
        before = sum(parts.get(name, 0.0) for name in ("store", "queue", "start"))
        cpu["other"] += seconds["cpu"] - (sum(parts.values()) - before)
    for role in ("run", "redis", "worker main"):
        for one in roles[role]:
            cpu["queue"] += one.cpu_between(first, last)
            cpu["start"] += one.cpu_between(0, first) + one.cpu_between(last, ended)
    busy = sum(one.cpu_between(first, last) for one in roles["worker"])
    cpu["idle"] = max(0.0, (last - first) * way.processes - busy)
    way.cpu.append(dict(cpu))
    for role, ones in roles.items():
        way.peaks_mb[role] = max([way.peaks_mb.get(role, 0.0), *(one.peak_mb for one in ones)])
