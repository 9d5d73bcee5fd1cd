"""What a worker process keeps between tasks: settings, engine, models. Opened in the process that uses it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
from sqlalchemy import Engine

from common import weights
from common.database import engine_for, persistently
from common.errors import UnfitError
from common.identity import DLIB_RESNET
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedJob, set_job
from common.ledger.references import find_references
from common.ledger.segments import SegmentRequest
from common.maskers import Masker, read_network
from common.options import JobOptions
from common.owner import this_owner
from common.settings import Settings, usable_cores
from workers.detectors.base import Detector
from workers.detectors.registry import open_detector
from workers.identity.base import Embedder
from workers.identity.judge import IdentityJudge, open_embedder, require_references
from workers.landmarks.base import Landmarker
from workers.landmarks.registry import open_landmarker
from workers.maskers.base import FaceMasker
from workers.maskers.registry import open_masker
from workers.masks.already import MaskJudge, open_mask_judge
from workers.phases import FreeMemory, PhaseKeeper
from workers.sources import Sources
from workers.times import Between

if TYPE_CHECKING:
    from workers.frames import OpenVideos

log = logging.getLogger("maskmill.worker")

_Answer = TypeVar("_Answer")


@dataclass
class Runtime:
    """The long-lived things of one worker process.

    Attributes:
        settings: of this process.
        pid: the process that made it; a child that inherits one makes its own.
        between: what this process did since its last chunk.
        free_memory: tells the free memory of the device; None: asks the driver.
    """

    settings: Settings
    pid: int = field(default_factory=os.getpid)
    between: Between = field(default_factory=Between)
    _detectors: dict[tuple[object, ...], Detector] = field(default_factory=dict)
    _landmarkers: dict[tuple[object, ...], Landmarker] = field(default_factory=dict)
    _mask_judges: dict[str, MaskJudge] = field(default_factory=dict)
    _maskers: dict[str, FaceMasker] = field(default_factory=dict)
    _embedders: dict[tuple[object, ...], Embedder] = field(default_factory=dict)
    _identity_judges: dict[str, IdentityJudge] = field(default_factory=dict)
    _noted: set[str] = field(default_factory=set)
    _open_videos: OpenVideos | None = None
    free_memory: FreeMemory | None = None

    def __post_init__(self) -> None:
        self._keeper = PhaseKeeper(self.settings.phases, self.settings.device, self.free_memory)
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
        return max(2, self._cores)

    @property
    def has_one_core(self) -> bool:
        """This process has one core for everything."""
        return self._cores <= 1

    @property
    def _cores(self) -> int:
        return usable_cores() // max(1, self.settings.worker_count)

    def detector(self, options: JobOptions) -> Detector:
        """The detector that a job asks for, opened once.

        Raises:
            UnfitError: its model is missing or unfit on this machine.
        """
        key = (
            *(options.detector, options.detector_model, options.detector_precision),
            *(options.score, options.nms, options.detect_side),
        )
        if key not in self._detectors:
            path = find_model(options.detector, options.detector_model, self.settings)
            self._make_room("detector", path)
            detector = open_detector(
                options.detector,
                path,
                device=self.settings.device,
                threads=1,
                score=options.score,
                nms=options.nms,
                side=options.detect_side,
                precision=options.detector_precision,
                cache_dir=weights.cache_dir(),
            )
            log.info("detector %s runs on %s", detector.name, detector.provider)
            self._detectors[key] = detector
        return self._detectors[key]

    def store(self, write: Callable[[], _Answer]) -> _Answer:
        """Run the commit of a chunk, again while the database is away, and note how long it took."""
        start, cpu = time.perf_counter(), time.process_time()
        try:
            return persistently(write)
        finally:
            ended = time.process_time()
            self.between = Between(ended, time.perf_counter() - start, ended - cpu)

    def sources(self, job: RecordedJob, images: Sequence[ClaimedImage]) -> Sources:
        """Where the images of a chunk come from, frames of videos too."""
        sources = Sources.of(job, self.settings)
        if all(image.frame_index is None for image in images):
            return sources
        # Imported here: libav is not loaded for pictures.
        from workers.frames import ChunkFrames, OpenVideos

        if self._open_videos is None:
            self._open_videos = OpenVideos()
        frames = ChunkFrames(self._open_videos, self.engine, job, sources, images)
        return replace(sources, read_frame=frames.read)

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
        key = (options.landmarks, options.landmark_model, options.normalization)
        if key not in self._landmarkers:
            path = find_model(options.landmarks, options.landmark_model, self.settings)
            self._make_room("landmarks", None if options.landmarks == "dlib68" else path)
            self._landmarkers[key] = open_landmarker(
                options.landmarks,
                path,
                device=self.settings.device,
                threads=1,
                cache_dir=weights.cache_dir(),
                normalization=options.normalization,
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
            self._make_room("landmarks", Path(options.skip_masked))
            self._mask_judges[options.skip_masked] = open_mask_judge(
                Path(options.skip_masked), device=self.settings.device, threads=1
            )
        return self._mask_judges[options.skip_masked]

    def masker(self, request: SegmentRequest) -> FaceMasker:
        """The masker that a segmentation asks for, opened once.

        Raises:
            UnfitError: its network is missing, unfit, or not the one that was asked for.
        """
        if request.masker not in self._maskers:
            found = Masker(name=request.masker)
            if request.network is not None:
                path = Path(os.fsdecode(self.settings.local_path(request.network)))
                found = read_network(path)
                if found.name != request.masker:
                    raise UnfitError(
                        f"the network {path} or its description has changed: expected {request.masker}, found "
                        f"{found.name}; start the segmentation again"
                    )
            self._maskers[request.masker] = open_masker(
                found, device=self.settings.device, threads=1, cache_dir=weights.cache_dir()
            )
        return self._maskers[request.masker]

    def _make_room(self, phase: str, model: Path | None) -> None:
        """Let the models of other phases be closed, before one of this phase is opened."""
        shelves: dict[str, list[dict[Any, Any]]] = {
            "detector": [self._detectors],
            "landmarks": [self._landmarkers, self._mask_judges],
        }
        self._keeper.make_room(phase, model, shelves)

    def embedder(self, options: JobOptions) -> Embedder:
        """What compares faces in a job with `--filter` or `--nfilter`, opened once.

        Raises:
            UnfitError: its model is missing, unfit or another one than the job was begun with.
        """
        key = (options.identity_model, options.embedder)
        if key not in self._embedders:
            path = None if options.identity_model else find_model(DLIB_RESNET, None, self.settings)
            self._embedders[key] = open_embedder(options, path, device=self.settings.device)
        return self._embedders[key]

    def identity_judge(self, job: RecordedJob) -> IdentityJudge | None:
        """The references of a job, read once; None without any.

        Raises:
            UnfitError: its model or its references are missing, or do not fit each other.
        """
        options = job.options
        if not options.filters_identity:
            return None
        if job.name not in self._identity_judges:
            rows = persistently(lambda: find_references(self.engine, job.id))
            require_references(options, rows)
            self._identity_judges[job.name] = IdentityJudge(
                self.embedder(options), self.landmarker(options), rows, options.filter_threshold or 0.0
            )
        return self._identity_judges[job.name]


def find_model(name: str, explicit: str | None, settings: Settings) -> Path:
    """The file of a model, from an option, the settings' folder, a package or the cache.

    Raises:
        UnfitError: there is none; the message says how to get it.
    """
    return weights.find(name, None if explicit is None else Path(explicit), settings.models)
