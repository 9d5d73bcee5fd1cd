"""A picture that kills whoever touches it, or needs more memory than there is: it fails alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.pictures import MARKED_WIDTH, write_photographs
from tests.faults.trial import Expected, Trial


@pytest.mark.parametrize(
    ("count", "do", "marked"),
    [
        (24, "exit", (7,)),
        pytest.param(500, "exit", (250,), marks=pytest.mark.soak),
        pytest.param(500, "kill", (100, 101, 400), marks=pytest.mark.soak),
    ],
)
def test_f3_a_picture_that_kills_its_process_fails_alone(
    make_trial: Callable[..., Trial], tmp_path: Path, count: int, do: str, marked: tuple[int, ...]
) -> None:
    expected = Expected(write_photographs(tmp_path / "in", count, marked=marked), count)
    poison = {"point": "decode", "when": "after", "do": do, "width": MARKED_WIDTH}
    trial = make_trial(expected, faults=[poison], visibility_timeout_s=30)
    trial.begin()
    trial.cluster.wait_done(400)
    failed = trial.cluster.rows("SELECT relative_path, starts FROM images WHERE status = 'failed'")
    assert {bytes(path) for path, _ in failed} == {b"p%06d.jpg" % number for number in marked}
    # Once in its chunk, three times alone.
    assert all(starts <= 5 for _, starts in failed), failed
    findings = trial.end(
        "F3",
        f"{len(marked)} pictures that end their process (`{do}`)",
        codes={"killed-worker": len(marked)},
        disturbances=f"{len(marked)} pictures",
        notes=f"{max(starts for _, starts in failed)} starts of a culprit at the most",
    )
    assert findings.states["done"] == count - len(marked)


@pytest.mark.soak
def test_f4_a_picture_that_needs_too_much_memory_fails_alone(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    expected = Expected(write_photographs(tmp_path / "in", 200, marked=(50,)), 200)
    allocate = {"point": "decode", "when": "after", "do": "allocate", "width": MARKED_WIDTH}
    trial = make_trial(expected, faults=[{**allocate, "bytes": 64 << 30}])
    trial.cluster.memory_limit = 16 << 30
    trial.begin()
    findings = trial.end(
        "F4",
        "RLIMIT_AS, a picture that needs more",
        codes={"out-of-memory": 1},
        is_swept=True,
        disturbances="1 picture",
        notes="failed as `out-of-memory`, process kept",
    )
    assert findings.states["done"] == 199
