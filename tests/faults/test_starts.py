"""`maskmill run` whose workers cannot start says why and ends; mended, the same command goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Command
from tests.faults.asked import fault_environment
from tests.oracle import check

FLAGS = ["--crop-style", "buffalo", "--workers", 2]


@pytest.mark.parametrize(
    ("module", "how", "told"),
    [
        # The main process imports Celery and OpenCV; those of its pool ONNX Runtime.
        pytest.param("celery", "broken", "worker cannot start: ImportError: celery is broken", id="worker"),
        pytest.param("cv2", "broken", "cannot be loaded on", id="preloaded"),
        pytest.param("onnxruntime", "broken", "cannot be loaded on", id="pool", marks=pytest.mark.soak),
        pytest.param(
            "cv2",
            "crash",
            "worker cannot start: it ended with signal 11 (SIGSEGV)",
            id="worker crashes",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            "onnxruntime",
            "crash",
            "a process of its pool ended: signal 11 (SIGSEGV)",
            id="crash",
            marks=pytest.mark.soak,
        ),
        pytest.param(
            "common.maskers",
            "exit",
            "a process of its pool ended: exitcode 1",
            id="exit",
            marks=pytest.mark.soak,
        ),
    ],
)
def test_a_worker_that_cannot_start_is_told_with_its_cause(
    maskmill: Command, photographs: Path, tmp_path: Path, module: str, how: str, told: str
) -> None:
    out = tmp_path / "out"
    command = ["run", "--input", photographs, "--output", out, *FLAGS]
    env = fault_environment([{"point": "import", "module": module, "do": how}])
    answer = maskmill(*command, env=env)
    assert answer.rc == 3, answer.stderr
    said = answer.stderr.strip().splitlines()[-1]
    assert said.startswith("maskmill: ") and told in said
    if how == "broken":
        assert said.endswith(f"ImportError: {module} is broken")
    assert maskmill.processes() == []
    assert f"halted ({said.removeprefix('maskmill: ')})" in maskmill("status", "--output", out).stdout
    answer = maskmill(*command)
    assert answer.rc == 0, answer.stderr
    assert check(out).states == {"done": 6, "missed": 1}
