"""The parts of the benchmark that decide what its figures mean."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from benchmarks.device import Rates, measure_device, measure_rates, print_rates
from benchmarks.floor import _sample
from benchmarks.job import bench_options
from benchmarks.pictures import KINDS, write_pictures
from benchmarks.watching import Watched
from benchmarks.ways import Way
from common.errors import UnfitError
from common.weights import find
from workers.detectors.registry import open_detector
from workers.times import Between, PartTimes


def test_cpu_between_two_times_is_even_between_samples() -> None:
    one = Watched("worker", clock=[10.0, 11.0, 12.0, 13.0], cpu=[0.5, 1.0, 1.75, 2.0])
    assert one.cpu_between(11, 12) == pytest.approx(0.75)
    assert one.cpu_between(11.2, 12.8) == pytest.approx(0.8)
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


@pytest.mark.parametrize("batch", [1, 4])
def test_the_rates_of_a_device_are_those_of_the_same_batch_and_find_the_same_faces(
    tmp_path: Path, batch: int
) -> None:
    write_pictures(tmp_path, "portrait", 5, photographs=None)
    detector = open_detector("centerface", find("centerface"), device="cpu", threads=1, batch=batch)
    rates = measure_rates(detector, sorted(tmp_path.iterdir()), 160, decode_threads=2, least_s=0)
    # At a side of 160 all five have one size.
    assert rates.batch == (batch, 160, 160)
    assert rates.faces == 5, "one in each portrait"
    assert min(rates.bare, rates.bound, rates.ready, rates.files) > 0


def test_what_is_printed_is_set_against_the_bare_rate(capsys: pytest.CaptureFixture[str]) -> None:
    print_rates("portrait: CUDA fp16", Rates((16, 640, 480), 200.0, 190.0, 150.0, 100.0, 7))
    first, second = capsys.readouterr().out.splitlines()
    assert first == "portrait: CUDA fp16: batches of 16 of 640x480, 7 faces"
    assert second.split("; ") == [
        "  ONNX Runtime alone 200 images/s",
        "bound memory 190 (95 %)",
        "decoded pictures 150 (75 %)",
        "from files 100 (50 %)",
    ]


def test_both_precisions_are_measured_on_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.jpg").write_bytes(b"")
    asked = []

    class OnGpu:
        decode_threads = 2

        def __init__(self, settings: Any) -> None:
            assert settings.device == "cuda:0"

        def detector(self, options: Any) -> Any:
            asked.append(options.detector_precision)
            if options.detector_precision == "fp32":
                raise UnfitError("no memory is left")
            return SimpleNamespace(provider="CUDA fp16")

    monkeypatch.setattr("benchmarks.device.cuda_obstacle", lambda: None)
    monkeypatch.setattr("benchmarks.device.Runtime", OnGpu)
    monkeypatch.setattr(
        "benchmarks.device.measure_rates", lambda *_: Rates((16, 640, 480), 200.0, 190.0, 150.0, 100.0, 7)
    )
    measure_device(tmp_path, bench_options(None), "cuda:0")
    assert asked == ["fp16", "fp32"]
    out = capsys.readouterr().out
    assert "CUDA fp16: batches of 16 of 640x480" in out
    assert "no rate for cuda:0 in fp32: no memory is left" in out


@pytest.mark.parametrize(
    ("count", "size", "measured"),
    [(10, (40, 30), 10), (200, (40, 30), 100), (1600, (40, 30), 124), (200, (1000, 1000), 25)],
)
def test_the_floor_is_measured_on_evenly_spaced_pictures_and_not_too_many(
    tmp_path: Path, count: int, size: tuple[int, int], measured: int
) -> None:
    Image.new("RGB", size).save(tmp_path / "0.png")
    paths = [tmp_path / f"{number}.png" for number in range(count)]
    assert len(_sample(paths)) == measured
