"""How fast the whole job is, next to a plain loop over the same pure functions, in one run.

Every figure comes from the real command line and the rows it leaves; repetitions of loop and jobs take
turns, since the machine's speed drifts, and medians are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from benchmarks.pictures import write_pictures
from common.database import engine_for
from common.files import AtomicWriter, read_source
from common.images import decode
from common.options import options_from_flags
from common.settings import read_settings, usable_cores
from common.styles import ALL_STYLES
from producer.local import database_of
from workers.preview import preview_image
from workers.runtime import Runtime
from workers.times import PartTimes

PARTS = ("read", "decode", "detect", "landmarks", "draw", "crop", "encode", "write", "sql")


@dataclass
class Measured:
    """One way of doing the work, over all repetitions."""

    seconds: list[float] = field(default_factory=list)
    faces: int = 0
    processes: int = 1
    parts: dict[str, float] = field(default_factory=lambda: defaultdict(float))


def measure_loop(folder: Path, measured: Measured, save_full: str) -> None:
    """One process, one picture after the other, without queue and database."""
    options = options_from_flags(
        {},
        n_augmentations=1,
        no_mask=False,
        no_crop=False,
        with_original=False,
        crop_styles=ALL_STYLES,
        save_full=save_full,
    )
    runtime = Runtime(read_settings())
    runtime.detector(options)
    runtime.landmarker(options)
    measured.faces = 0
    with tempfile.TemporaryDirectory() as output:
        start = time.perf_counter()
        times = PartTimes()
        for path in sorted(folder.iterdir()):
            with times.part("read"):
                data = read_source(os.fsencode(path), roots=None)
            with times.part("decode"):
                image_bgr = decode(data)
            name = os.fsencode(path.name)
            faces, files = preview_image(runtime, options, image_bgr, name, os.fsencode(path.stem), times)
            measured.faces += faces
            with times.part("write"), AtomicWriter("none") as writer:
                for relative, content in files.items():
                    writer.stage(os.path.join(os.fsencode(output), relative), content)
                writer.commit()
        measured.seconds.append(time.perf_counter() - start)
    for part, seconds in times.seconds().items():
        measured.parts[part] += seconds


def measure_job(folder: Path, measured: Measured, workers: int, save_full: str) -> None:
    """The real command, with its own Redis, workers and database."""
    with tempfile.TemporaryDirectory() as scratch:
        output = os.path.join(scratch, "out")
        command = [
            sys.executable,
            "-P",
            "-m",
            "producer.cli",
            "run",
            "--input",
            str(folder),
            "--output",
            output,
        ]
        command += ["--workers", str(workers), "--save-full", save_full, "--json", "--quiet"]
        start = time.perf_counter()
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        measured.seconds.append(time.perf_counter() - start)
        measured.faces = json.loads(answer.stdout)["faces"]
        measured.processes = workers
        engine = engine_for(database_of(os.fsencode(output)))
        with engine.connect() as connection:
            rows = connection.execute(
                text("SELECT worker, started_at, seconds FROM chunks ORDER BY started_at")
            ).all()
            started_at = connection.execute(text("SELECT created_at FROM jobs")).scalar_one()
        engine.dispose()
    ended: dict[str, float] = {}
    for worker, chunk_start, seconds_json in rows:
        seconds = json.loads(seconds_json)
        for part in PARTS:
            measured.parts[part] += seconds.get(part, 0.0)
        gap = chunk_start - ended.get(worker, started_at)
        measured.parts["queue" if worker in ended else "start"] += max(0.0, gap)
        ended[worker] = chunk_start + seconds["total"]


def print_table(title: str, count: int, ways: dict[str, Measured]) -> None:
    """Rates, then the share of each part in the time of all processes of that way."""
    loop = statistics.median(ways["loop"].seconds)
    print(
        f"\n{title}: {count} images, {ways['loop'].faces} faces, median of {len(ways['loop'].seconds)} runs each"
    )
    print(f"{'':10}{'seconds':>9}{'images/s':>10}{'faces/s':>9}{'to loop':>9}")
    for name, way in ways.items():
        seconds = statistics.median(way.seconds)
        rates = f"{count / seconds:>10.1f}{way.faces / seconds:>9.1f}{loop / seconds:>8.2f}x"
        print(f"{name:10}{seconds:>9.2f}{rates}")
    columns = (*PARTS, "queue", "start")
    print(f"{'share, %':10}" + "".join(f"{part:>10}" for part in columns) + f"{'rest':>10}")
    for name, way in ways.items():
        whole = sum(way.seconds) * way.processes
        shares = [100 * way.parts.get(part, 0.0) / whole for part in columns]
        print(f"{name:10}" + "".join(f"{share:>10.1f}" for share in shares) + f"{100 - sum(shares):>10.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, help="a folder of images; default: made pictures")
    parser.add_argument("--images", type=int, default=240, help="made portraits; a fifth as many groups")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="processes of the larger job")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each way")
    parser.add_argument("--save-full", default="always", choices=["auto", "always", "never"])
    arguments = parser.parse_args()
    print("one variant, three crops a face, whole pictures:", arguments.save_full)
    print("queue: between two chunks of a process; start: until its first chunk; rest: ending, and idle")
    with tempfile.TemporaryDirectory() as scratch:
        sets = {"given": arguments.input}
        if arguments.input is None:
            sets = {"portrait": Path(scratch, "portrait"), "group": Path(scratch, "group")}
            write_pictures(sets["portrait"], "portrait", arguments.images)
            write_pictures(sets["group"], "group", max(1, arguments.images // 5))
        for title, folder in sets.items():
            ways = {"loop": Measured(), "1 worker": Measured(), f"{arguments.workers} workers": Measured()}
            for _ in range(arguments.repeat):
                measure_loop(folder, ways["loop"], arguments.save_full)
                measure_job(folder, ways["1 worker"], 1, arguments.save_full)
                measure_job(
                    folder, ways[f"{arguments.workers} workers"], arguments.workers, arguments.save_full
                )
            print_table(title, len(list(folder.iterdir())), ways)


if __name__ == "__main__":
    main()
