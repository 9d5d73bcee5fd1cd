"""How fast the whole job is, where its time goes, and how near that is to what the machine can do.

In one run: the floor (`benchmarks.floor`), a plain loop in one process, and the real command with one worker and with
all cores. Repetitions take turns, since a machine's speed drifts; medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from benchmarks.floor import IN_FLOATS, OUR_TREES, PARTS, Floor, measure_floor
from benchmarks.pictures import KINDS, write_pictures
from benchmarks.ways import COLUMNS, Way, run_command, run_loop
from common.choices import DetectorPrecision
from common.errors import MaskmillError, UsageError
from common.options import JobOptions, options_from_flags
from common.settings import usable_cores
from common.styles import ALL_STYLES

FLAGS = ("--save-full", "always")


def bench_options(detect_side: int | None, precision: DetectorPrecision = "auto") -> JobOptions:
    """One variant, three crops a face, whole pictures."""
    given = {} if detect_side is None else {"detect_side": detect_side}
    return options_from_flags(
        {**given, "detector_precision": precision},
        n_augmentations=1,
        no_mask=False,
        no_crop=False,
        with_original=False,
        crop_styles=ALL_STYLES,
        save_full="always",
    )


def measure(
    title: str,
    folder: Path,
    options: JobOptions,
    workers: int,
    repeat: int,
    flags: Sequence[str],
    scratch: Path,
) -> None:
    """Measure one folder in every way and print its table."""
    paths = sorted(folder.iterdir())
    one, many = "1 worker", f"{workers} workers"
    ways = {"loop": Way(1), one: Way(1), many: Way(workers)}
    floors: list[Floor] = []

    def floor() -> None:
        floors.append(measure_floor(paths, options.model_dump(), workers))

    for _ in range(repeat):
        # Before and after each: a part takes less than a second there, and a machine's speed drifts while a job runs.
        floor()
        run_loop(ways["loop"], paths, options, scratch)
        for name in dict.fromkeys((one, many)):
            floor()
            run_command(ways[name], folder, flags, scratch)
        floor()
    print_table(title, len(paths), floors, ways, many)


def print_table(title: str, count: int, floors: Sequence[Floor], ways: dict[str, Way], many: str) -> None:
    """Rates, CPU by part, efficiency and memory."""
    faces = ways[many].faces
    print(f"\n{title}: {count} images, {faces} faces; medians of {len(ways[many].steady)} turns")
    print("CPU, ms an image")
    head = f"{'':11}{'images/s':>9}{'faces/s':>9}{'CPU':>8}"
    print(head + "".join(f"{name:>9}" for name in COLUMNS))
    wall = {part: statistics.median(floor.wall[part] for floor in floors) for part in floors[0].wall}
    cpu = {part: statistics.median(floor.cpu[part] for floor in floors) for part in floors[0].cpu}
    floor_s, floor_cpu_s = (sum(seconds[part] for part in PARTS) for seconds in (wall, cpu))
    _row("floor", 1 / floor_s, faces / count / floor_s, floor_cpu_s, {part: cpu[part] for part in PARTS})
    for name, way in ways.items():
        seconds = statistics.median(way.steady)
        parts = {column: way.part(column) / count for column in COLUMNS}
        _row(name, count / seconds, faces / seconds, way.cpu_steady() / count, parts)
    steady, whole = statistics.median(ways[many].steady), statistics.median(ways[many].seconds)
    spent = ways[many].cpu_steady()
    print(f"efficiency of {many}: {floor_s * count / steady:.2f} by the clock, "
          f"{floor_cpu_s * count / spent:.2f} by CPU; {floor_s * count / whole:.2f} with start and end "
          f"({whole - steady:.1f} s)")  # fmt: skip
    for part, alike, what in (
        (OUR_TREES, "landmarks", "landmarks by our trees, 64 faces at a time, not by dlib's calls"),
        (IN_FLOATS, "detect", "the network in fp32"),
    ):
        if part in wall:
            more, more_cpu = (seconds[part] - seconds[alike] for seconds in (wall, cpu))
            print(f"the same, but the floor with {what} ({1e3 * cpu[part]:.2f} ms of CPU an image): "
                  f"{(floor_s + more) * count / steady:.2f} by the clock, "
                  f"{(floor_cpu_s + more_cpu) * count / spent:.2f} by CPU")  # fmt: skip
    overhead = ways[many].part("sql") + ways[many].part("queue")
    print(f"queue and SQL: {100 * overhead / spent:.1f} % of the CPU")
    if many != "1 worker":
        ratio = statistics.median(ways["1 worker"].steady) / steady
        print(f"{many} against 1: {ratio:.2f} x")
    print(f"first file after {statistics.median(ways[many].first_artifact):.1f} s")
    peaks = ", ".join(f"{role} {peak:.0f}" for role, peak in sorted(ways[many].peaks_mb.items()))
    print(f"peak memory of one process, MB: {peaks}")


def _row(name: str, images: float, faces: float, cpu_s: float, parts: dict[str, float]) -> None:
    cells = "".join(f"{1e3 * parts[column]:>9.2f}" if column in parts else f"{'':>9}" for column in COLUMNS)
    print(f"{name:11}{images:>9.1f}{faces:>9.1f}{1e3 * cpu_s:>8.2f}{cells}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `make bench` and `maskmill bench` share."""
    parser.add_argument("--input", type=Path, help="a folder of images; default: made pictures")
    parser.add_argument("--photographs", type=Path, default=Path("../shared/faces"),
                        help="photographs with dlib's XML of faces, to make pictures from")  # fmt: skip
    parser.add_argument("--kind", action="append", choices=KINDS, help="of made pictures; repeatable")
    parser.add_argument("--images", type=int, default=1600, help="portraits; an eighth as many others")
    parser.add_argument("--workers", type=int, default=usable_cores(), help="processes of the larger job")
    parser.add_argument("--repeat", type=int, default=1, help="turns")
    parser.add_argument("--detect-side", type=int)
    parser.add_argument("--detector-precision", choices=get_args(DetectorPrecision), default="auto")
    parser.add_argument("--profile", type=Path, help="a py-spy profile of one job of each kind, in KIND-FILE")
    parser.add_argument("--device", default="cpu", help="cuda: the rate of detection on the GPU")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    run(parser.parse_args())


def run(arguments: argparse.Namespace) -> None:
    """Do what the arguments say."""
    options = bench_options(arguments.detect_side, arguments.detector_precision)
    flags = [
        *FLAGS,
        *("--detector-precision", arguments.detector_precision),
        *(() if arguments.detect_side is None else ("--detect-side", str(arguments.detect_side))),
    ]
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"given": arguments.input}
        if arguments.input is None:
            folders = {kind: Path(scratch, kind) for kind in arguments.kind or KINDS}
            for kind, folder in folders.items():
                count = arguments.images if kind == "portrait" else max(1, arguments.images // 8)
                write_pictures(folder, kind, count, arguments.photographs)
        for folder in folders.values():
            if not folder.is_dir() or not any(folder.iterdir()):
                raise UsageError(f"--input {folder}: a folder of images is expected, and no image is there")
        if arguments.device != "cpu":
            from benchmarks.device import measure_device

            for folder in folders.values():
                measure_device(folder, options, arguments.device)
            return
        if arguments.profile is not None:
            for kind, folder in folders.items():
                target = arguments.profile.with_name(f"{kind}-{arguments.profile.name}")
                run_command(Way(arguments.workers), folder, flags, Path(scratch), target)
                print(f"{target}: stacks folded, each with its samples")
            return
        print("one variant, three crops a face, whole pictures; see docs/performance.md")
        for kind, folder in folders.items():
            title = f"{kind} ({KINDS[kind]})" if kind in KINDS else kind
            measure(title, folder, options, arguments.workers, arguments.repeat, flags, Path(scratch))


if __name__ == "__main__":
    try:
        main()
    except MaskmillError as exc:
        raise SystemExit(str(exc)) from None
