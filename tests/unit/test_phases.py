"""`--phases`: which models stay open, with a fake probe of the device's memory."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from common.choices import Phases
from common.options import JobOptions
from common.settings import Settings
from workers import phases as phases_module
from workers.phases import PhaseKeeper, free_device_memory, needed_memory
from workers.runtime import Runtime

MB = 1 << 20


class Probe:
    """Answers with the free memory, and counts the questions."""

    def __init__(self, free: int | None) -> None:
        self.free = free
        self.asked = 0

    def __call__(self, device: str) -> int | None:
        assert device == "cuda:0"
        self.asked += 1
        return self.free


@pytest.mark.parametrize(
    ("mode", "free", "stays"),
    [
        ("together", 1, True),
        ("serial", 10**12, False),
        ("auto", 10**12, True),
        ("auto", 100 * MB, False),
        ("auto", None, True),  # the CPU
    ],
)
def test_the_other_phase_is_closed_where_memory_is_short(
    tmp_path: Path, mode: Phases, free: int | None, stays: bool
) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(bytes(MB))
    detectors, landmarkers, judges = {1: object()}, {}, {2: object()}
    shelves = {"detector": [detectors], "landmarks": [landmarkers, judges]}
    PhaseKeeper(mode, "cuda:0", Probe(free)).make_room("landmarks", model, shelves)  # type: ignore[arg-type]
    assert (bool(detectors), bool(judges)) == (stays, True)


def test_the_limit_is_what_the_model_is_reckoned_to_need(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(bytes(2 * MB))
    assert needed_memory(model) == (1024 + 6) * MB
    for free, stays in ((1030 * MB, True), (1030 * MB - 1, False)):
        detectors = {1: object()}
        PhaseKeeper("auto", "cuda:0", Probe(free)).make_room("x", model, {"detector": [detectors]})  # type: ignore[dict-item]
        assert bool(detectors) == stays


def test_nobody_is_asked_where_nothing_else_is_open_or_the_model_needs_no_device(tmp_path: Path) -> None:
    probe = Probe(0)
    keeper = PhaseKeeper("auto", "cuda:0", probe)
    keeper.make_room("detector", tmp_path / "none", {"detector": [{1: 1}], "landmarks": [{}]})
    keeper.make_room("landmarks", None, {"detector": [{1: 1}], "landmarks": [{}]})
    assert probe.asked == 0


def test_a_runtime_opens_its_models_in_turn_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    options = JobOptions(crop_styles=("buffalo",))
    together = Runtime(Settings(device="cpu", phases="together"))
    first = together.detector(options)
    together.landmarker(options)
    assert together.detector(options) is first
    serial = Runtime(Settings(device="cpu", phases="serial"))
    first = serial.detector(options)
    assert serial.detector(options) is first
    with caplog.at_level(logging.INFO, "maskmill.worker"):
        landmarker = serial.landmarker(options)
    assert "phases: detector closed before landmarks" in caplog.text
    assert serial.landmarker(options) is landmarker
    assert serial.detector(options) is not first
    assert serial.landmarker(options) is not landmarker


def test_the_cpu_has_no_device_memory() -> None:
    assert free_device_memory("cpu") is None


def fake_smi(folder: Path, answer: str) -> None:
    script = folder / "nvidia-smi"
    script.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\n{answer}\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("device", "visible", "named"),
    [("cuda:1", "", "1"), ("auto", "3,5", "3"), ("cuda:1", "3,GPU-7f", "GPU-7f")],
)
def test_the_driver_is_asked_for_the_device_that_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, visible: str, named: str
) -> None:
    monkeypatch.setattr(phases_module, "cuda_obstacle", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    fake_smi(tmp_path, "echo 512")
    assert free_device_memory(device) == 512 * MB
    assert f"--id={named} " in (tmp_path / "asked").read_text()


@pytest.mark.parametrize("answer", ["exit 9", "echo '[N/A]'", "echo"])
def test_a_driver_that_does_not_tell_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(phases_module, "cuda_obstacle", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    fake_smi(tmp_path, answer)
    assert free_device_memory("cuda:0") is None
