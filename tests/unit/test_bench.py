"""The parts of the benchmark that decide what its figures mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.device import measure_device
from benchmarks.job import bench_options
from benchmarks.pictures import KINDS, write_pictures
from benchmarks.watching import Watched
from benchmarks.ways import Way
from workers.times import Between, PartTimes


def test_cpu_between_two_times_is_that_of_the_samples_between() -> None:
    one = Watched("worker", clock=[10.0, 11.0, 12.0, 13.0], cpu=[0.5, 1.0, 1.75, 2.0])
    assert one.cpu_between(11.2, 12.9) == pytest.approx(0.75)
    assert one.cpu_between(0, 11.0) == pytest.approx(1.0), "what was spent before it was first seen counts"
    assert one.cpu_between(20, 30) == 0


def test_a_steady_state_is_without_start_and_idle() -> None:
    way = Way(2, cpu=[{"detect": 2.0, "sql": 0.5, "start": 9.0, "idle": 7.0}])
    assert way.cpu_steady() == pytest.approx(2.5)


def test_what_a_process_did_before_a_chunk_is_start_or_queue_once() -> None:
    between = Between()
    assert "start" in PartTimes(between).cpu_seconds()
    between = Between(ended_cpu=1e-9, storing_s=3.0, storing_cpu_s=2.0)
    times = PartTimes(between)
    assert times.cpu_seconds()["store"] == 2.0
    assert times.cpu_seconds()["queue"] > 0
    assert times.seconds()["sql"] == 3.0
    assert PartTimes(between).cpu_seconds()["store"] == 0, "it is used up"


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_made_without_photographs(tmp_path: Path, kind: str) -> None:
    write_pictures(tmp_path, kind, 2, photographs=None)
    made = sorted(tmp_path.iterdir())
    assert len(made) == 2
    for path in made:
        with Image.open(path) as picture:
            width, height = picture.size
        assert (150 <= width == height <= 250) if kind == "portrait" else (width, height) == (1024, 768)


def test_without_a_gpu_the_rate_of_one_is_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.device.cuda_obstacle", lambda: "no NVIDIA device")
    measure_device(tmp_path, bench_options(None), "cuda:0")
    assert "no rate for cuda:0: no NVIDIA device" in capsys.readouterr().out
