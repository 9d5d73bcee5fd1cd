"""What a worker process keeps between tasks: settings, engine, models. Opened in the process that uses it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import cv2
from sqlalchemy import Engine

from common import weights
from common.database import engine_for, persistently
from common.ledger.jobs import RecordedJob, set_job
from common.options import JobOptions
from common.owner import this_owner
from common.settings import Settings, usable_cores
from workers.detectors.base import Detector
from workers.detectors.registry import open_detector
from workers.landmarks.base import Landmarker
from workers.landmarks.registry import open_landmarker
from workers.masks.already import MaskJudge, open_mask_judge

log = logging.getLogger("maskmill.worker")

_Answer = TypeVar("_Answer")


@dataclass
class Runtime:
    """The long-lived things of one worker process.

    Attributes:
        settings: of this process.
        pid: the process that made it; a child that inherits one makes its own.
        storing_s: seconds that storing the last chunk took; its row was written by then.
    """

    settings: Settings
    pid: int = field(default_factory=os.getpid)
    storing_s: float = 0.0
    _detectors: dict[tuple[object, ...], Detector] = field(default_factory=dict)
    _landmarkers: dict[tuple[object, ...], Landmarker] = field(default_factory=dict)
    _mask_judges: dict[str, MaskJudge] = field(default_factory=dict)
    _noted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        # 0, not 1: setting 1 joins threads that a forked child does not have, and hangs (E12).
        cv2.setNumThreads(0)

    @property
    def engine(self) -> Engine:
        """This process's database engine."""
        return engine_for(self.settings.database_url)

    @property
    def owner(self) -> str:
        """The name under which this process claims images."""
        return this_owner()

    @property
    def decode_threads(self) -> int:
        """Threads that decode while the detector runs."""
        return max(2, usable_cores() // max(1, self.settings.worker_count))

    def detector(self, options: JobOptions) -> Detector:
        """The detector that a job asks for, opened once.

        Raises:
            UnfitError: its model is missing or unfit on this machine.
        """
        key = (options.detector, options.detector_model, options.score, options.nms, options.detect_side)
        if key not in self._detectors:
            path = find_model(options.detector, options.detector_model, self.settings)
            detector = open_detector(
                options.detector,
                path,
                device=self.settings.device,
                threads=1,
                score=options.score,
                nms=options.nms,
                side=options.detect_side,
                cache_dir=weights.cache_dir(),
            )
            log.info("detector %s runs on %s", detector.name, detector.provider)
            self._detectors[key] = detector
        return self._detectors[key]

    def store(self, write: Callable[[], _Answer]) -> _Answer:
        """Run the commit of a chunk, again while the database is away, and note how long it took."""
        start = time.perf_counter()
        try:
            return persistently(write)
        finally:
            self.storing_s = time.perf_counter() - start

    def note_provider(self, job: RecordedJob, provider: str) -> None:
        """Write down on what the detector of a job really runs, for `status`."""
        if job.provider != provider and job.name not in self._noted:
            self._noted.add(job.name)
            set_job(self.engine, job.id, provider=provider)

    def landmarker(self, options: JobOptions) -> Landmarker:
        """The landmark model that a job asks for, opened once.

        Raises:
            UnfitError: its model is missing or unfit on this machine.
        """
        key = (options.landmarks, options.landmark_model)
        if key not in self._landmarkers:
            path = find_model(options.landmarks, options.landmark_model, self.settings)
            self._landmarkers[key] = open_landmarker(
                options.landmarks, path, device=self.settings.device, threads=1
            )
        return self._landmarkers[key]

    def mask_judge(self, options: JobOptions) -> MaskJudge | None:
        """The classifier of masked faces that a job asks for, opened once; None without `--skip-masked`.

        Raises:
            UnfitError: it is missing or unfit on this machine.
        """
        if options.skip_masked is None:
            return None
        if options.skip_masked not in self._mask_judges:
            self._mask_judges[options.skip_masked] = open_mask_judge(
                Path(options.skip_masked), device=self.settings.device, threads=1
            )
        return self._mask_judges[options.skip_masked]


def find_model(name: str, explicit: str | None, settings: Settings) -> Path:
    """The file of a model, from an option, the settings' folder, a package or the cache.

    Raises:
        UnfitError: there is none; the message says how to get it.
    """
    return weights.find(name, None if explicit is None else Path(explicit), settings.models)
