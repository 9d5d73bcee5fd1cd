"""How a test asks for faults inside the processes it starts: see `hooks/sitecustomize.py`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HOOKS = Path(__file__).resolve().parent / "hooks"


def fault_environment(faults: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The variables that let these faults happen in a process."""
    return {
        "MASKMILL_TEST_FAULT": json.dumps(list(faults)),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HOOKS), os.environ.get("PYTHONPATH")])),
    }


def meeting(point: str, folder: Path, processes: int = 2) -> dict[str, str]:
    """The variables with which no process takes this step before `processes` of them have come to it.

    A quick process can otherwise do all of a small job before the next one is up, and a test of several
    processes tests one.

    Args:
        point: a step of `hooks/sitecustomize.py`.
        folder: where the processes leave their marks; made here.
        processes: how many.
    """
    folder.mkdir()
    return fault_environment([{"point": point, "do": "meet", "processes": processes, "folder": str(folder)}])


def holding(point: str, until: Path, *, skip: int) -> dict[str, str]:
    """The variables with which every process stops at this step, from its `skip`-th call on, until a file is there.

    Whatever a test does to a job half-way is otherwise done after the end of it, where the machine is busy.
    """
    return fault_environment([held_at(point, until, skip=skip)])


def held_at(point: str, until: Path, *, skip: int) -> dict[str, Any]:
    """The fault of `holding`, for a cluster."""
    return {"point": point, "do": "hold", "skip": skip, "file": str(until)}
