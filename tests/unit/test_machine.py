"""Workers for machines that are not at hand: cores and GPUs are given as numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

import workers.sessions
from producer.machine import WorkerPlan, plan_workers, usable_gpus


def test_without_a_gpu_one_pool_fills_the_cores() -> None:
    assert plan_workers("auto", None, cores=8, gpus=[]) == (WorkerPlan("all", 8, "auto"),)
    assert plan_workers("cpu", None, cores=2, gpus=[0]) == (WorkerPlan("all", 2, "cpu"),)
    assert plan_workers("auto", 3, cores=8, gpus=[]) == (WorkerPlan("all", 3, "auto"),)


def test_each_gpu_gets_one_detection_worker_and_the_cores_left_augment() -> None:
    assert plan_workers("auto", None, cores=16, gpus=[0, 1, 2]) == (
        WorkerPlan("detect", 1, "cuda:0"),
        WorkerPlan("detect", 1, "cuda:1"),
        WorkerPlan("detect", 1, "cuda:2"),
        WorkerPlan("augment", 13, "auto"),
    )


def test_processes_are_never_more_than_cores_but_at_least_one() -> None:
    plans = plan_workers("auto", None, cores=2, gpus=[0, 1])
    assert [plan.processes for plan in plans] == [1, 1, 1]


def test_a_gpu_named_by_number_stands_alone() -> None:
    plans = plan_workers("cuda:1", 4, cores=16, gpus=[0, 1])
    assert plans == (WorkerPlan("detect", 1, "cuda:1"), WorkerPlan("augment", 4, "cuda:1"))


def test_a_gpu_that_is_not_there_is_left_to_the_worker_to_refuse() -> None:
    assert plan_workers("cuda:0", 2, cores=2, gpus=[]) == (WorkerPlan("all", 2, "cuda:0"),)


@pytest.mark.parametrize(
    ("files", "visible", "found"),
    [
        (["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"], None, [0, 1]),
        (["nvidia0", "nvidia1"], "1", [0]),
        (["nvidia0", "nvidia1"], "", []),
        (["nvidia0"], "-1", []),
        (["dxg"], None, [0]),
        ([], None, []),
    ],
)
def test_gpus_are_counted_as_cuda_counts_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: list[str],
    visible: str | None,
    found: list[int],
) -> None:
    monkeypatch.setattr(workers.sessions, "cuda_obstacle", lambda: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in files:
        (tmp_path / name).touch()
    assert usable_gpus(tmp_path, visible) == found


def test_gpus_that_cuda_cannot_use_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers.sessions, "cuda_obstacle", lambda: "no driver")
    (tmp_path / "nvidia0").touch()
    assert usable_gpus(tmp_path, None) == []
