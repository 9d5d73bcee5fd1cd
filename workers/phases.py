"""`--phases`: all models of a process open together, or in turn where the device has too little memory."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from common.choices import Phases
from workers.sessions import cuda_obstacle

FreeMemory: TypeAlias = Callable[[str], int | None]

_WORKSPACE = 1 << 30
_COPIES = 3
"""What a session is reckoned to take: its file three times (weights, their copies while it opens) and 1 GiB to
compute with. An estimate, on the safe side for the models that are known here (1 to 8 MB)."""
_PATIENCE_S = 10

log = logging.getLogger("maskmill.worker")


class PhaseKeeper:
    """Decides which models stay open when a process goes from one phase to another.

    A phase is what runs over a whole chunk before anything else does: the detector, or landmarks and what
    judges faces beside them. Models that are closed are opened again when their phase comes: the results are
    the same.
    """

    def __init__(self, phases: Phases, device: str, free_memory: FreeMemory | None = None) -> None:
        """Take how it is done, the device of all models, and what tells its free memory in bytes."""
        self._phases = phases
        self._device = device
        self._free_memory = free_memory or free_device_memory

    def make_room(
        self, phase: str, model: Path | None, shelves: Mapping[str, Sequence[dict[object, object]]]
    ) -> None:
        """Close the models of the other phases if need be, before a model is opened.

        Args:
            model: the file to be opened; None: it does not run on the device.
            shelves: phase → the open models of it.
        """
        others = {name: sum(map(len, shelf)) for name, shelf in shelves.items() if name != phase}
        if self._phases == "together" or not any(others.values()):
            return
        if self._phases == "auto":
            free = None if model is None else self._free_memory(self._device)
            wanted = 0 if model is None else needed_memory(model)
            if free is None or free >= wanted:
                return
            log.warning(
                "phases: %d MB of %s are free and %d MB wanted for %s: models run in turn (--phases together forbids it)",
                free >> 20,
                self._device,
                wanted >> 20,
                model,
            )
        for name, count in others.items():
            if count:
                log.info("phases: %s closed before %s", name, phase)
                for shelf in shelves[name]:
                    shelf.clear()


def needed_memory(model: Path) -> int:
    """Bytes of the device that a model is reckoned to need."""
    return _COPIES * model.stat().st_size + _WORKSPACE


def free_device_memory(device: str) -> int | None:
    """Free bytes of the CUDA device that sessions would use; None: they run on the CPU, or nobody tells.

    Asked of the driver's own `nvidia-smi`, since ONNX Runtime does not tell.
    """
    match = re.fullmatch(r"auto|cuda(?::(\d+))?", device)
    if match is None or cuda_obstacle() is not None:
        return None
    index = int(match[1] or 0)
    visible = [one.strip() for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one.strip()]
    name = visible[index] if index < len(visible) else str(index)
    command = ["nvidia-smi", f"--id={name}", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True)
        return int(answer.stdout.split()[0]) << 20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as exc:
        log.info("phases: the free memory of %s is not known (%s)", device, exc)
        return None
