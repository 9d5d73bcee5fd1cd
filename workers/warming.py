"""Opens the models of the jobs that run, before a process has its first chunk."""

from __future__ import annotations

import gc
import logging
from collections.abc import Collection

import numpy as np

from common.arrays import ImageBgr
from common.database import persistently
from common.ledger.jobs import find_job, running_job_names
from workers.runtime import Runtime

log = logging.getLogger("maskmill.worker")

_DATABASE_S = 2.0
_BLANK: ImageBgr = np.zeros((240, 320, 3), np.uint8)


def warm_up(runtime: Runtime, stages: Collection[str]) -> None:
    """Open the models of the youngest running job, if any; what goes wrong is told by the first chunk.

    Args:
        stages: those that this process works on.
    """
    try:
        names = persistently(lambda: running_job_names(runtime.engine), for_s=_DATABASE_S)
        job = find_job(runtime.engine, name=names[-1]) if names else None
        if job is not None and "detect" in stages:
            # Once through the network: it takes most of its memory then, and the first picture is in no hurry yet.
            runtime.detector(job.options).detect([_BLANK])
        if job is not None and "augment" in stages:
            runtime.landmarker(job.options)
    except Exception as exc:  # noqa: BLE001 (the first chunk meets it again, and says it with its job)
        log.info("not warmed up: %s", exc)
    # What lives now lives as long as the process: looking it through again and again took 3 % of its time.
    gc.freeze()
