"""The workers that suit a machine: how many processes for which stage, on which device."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.pipeline import Stage
from common.settings import Settings, usable_cores


@dataclass(frozen=True)
class WorkerPlan:
    """One worker.

    Attributes:
        stage: the queues it works on.
        processes: of its pool; each has one thread for its network, so that they fill the cores together.
        device: `cpu`, `cuda:N`, or `auto`.
    """

    stage: Stage | Literal["all"]
    processes: int
    device: str

    @property
    def name(self) -> str:
        """Tells the workers of one machine apart."""
        return f"{self.stage}-{self.device}"


def plan_workers(
    device: str, workers: int | None, *, cores: int, gpus: Sequence[int]
) -> tuple[WorkerPlan, ...]:
    """The workers of a machine.

    Without a GPU one pool serves both stages, so that no process waits for the other stage. With GPUs one
    detection process each feeds the processes that augment; those share the cores that are left, since a detection
    process decodes on about one.

    Args:
        device: the setting; a device named by number stands alone.
        workers: the setting: processes per stage; None: as many as there are cores for.
        cores: that this process may use.
        gpus: numbers of the GPUs that can be used.
    """
    named = re.fullmatch(r"cuda:(\d+)", device)
    used = [] if device == "cpu" else [int(named[1])] if named and gpus else list(gpus)
    if not used:
        return (WorkerPlan("all", workers or cores, device),)
    detecting = [WorkerPlan("detect", 1, f"cuda:{number}") for number in used]
    return (*detecting, WorkerPlan("augment", workers or max(1, cores - len(used)), device))


def plan_here(settings: Settings) -> tuple[WorkerPlan, ...]:
    """The workers that suit this machine."""
    gpus = [] if settings.device == "cpu" else usable_gpus()
    return plan_workers(settings.device, settings.workers, cores=usable_cores(), gpus=gpus)


def usable_gpus(devices: Path = Path("/dev"), visible: str | None = None) -> list[int]:
    """Numbers, as CUDA counts them, of the GPUs that this process may use; none where CUDA cannot be used.

    Args:
        devices: where the device files lie.
        visible: `CUDA_VISIBLE_DEVICES`; None: as it stands in the environment.
    """
    found = [path for path in devices.glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name)]
    # /dev/dxg is the GPU of WSL 2.
    count = len(found) or int((devices / "dxg").exists())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if visible is None else visible
    if visible is not None:
        # CUDA numbers what is visible anew, and stops at the first one that it does not know.
        count = min(count, len([one for one in visible.split(",") if one.strip() not in ("", "-1")]))
    if not count:
        return []
    # Imported here: it takes ONNX Runtime along.
    from workers.sessions import cuda_obstacle

    return list(range(count)) if cuda_obstacle() is None else []
