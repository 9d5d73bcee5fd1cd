"""Opens the models of the jobs that run, before a process has its first chunk."""

from __future__ import annotations

import logging
from collections.abc import Collection

from common.database import persistently
from common.errors import MaskmillError
from common.ledger.jobs import find_job, running_job_names
from workers.runtime import Runtime

log = logging.getLogger("maskmill.worker")

_DATABASE_S = 2.0


def warm_up(runtime: Runtime, stages: Collection[str]) -> None:
    """Open the models of the youngest running job, if any; what goes wrong is told by the first chunk.

    Args:
        stages: those that this process works on.
    """
    try:
        names = persistently(lambda: running_job_names(runtime.engine), for_s=_DATABASE_S)
        job = find_job(runtime.engine, name=names[-1]) if names else None
        if job is None:
            return
        if "detect" in stages:
            runtime.detector(job.options)
        if "augment" in stages:
            runtime.landmarker(job.options)
    except MaskmillError as exc:
        log.info("not warmed up: %s", exc)
