"""Feeding: recorded images become messages, only as many as the queues should hold."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from itertools import islice

from celery import Celery
from sqlalchemy import Engine

from common.broker import clear_queues, ids_under_way, queue_depths, send
from common.database import persistently
from common.errors import TransientError
from common.ledger.images import (
    forget_abandoned,
    forget_sent,
    frame_ranges,
    mark_sent,
    sent_before,
    unsent,
)
from common.ledger.jobs import RecordedJob
from common.ledger.leases import drop_lease, take_lease
from common.ledger.reports import pace_of
from common.ledger.segments import Work
from common.owner import this_owner
from common.pipeline import STAGES, ChunkMessage, Stage
from common.settings import Settings
from producer.chunk_sizes import ChunkSizes
from producer.ranges import LONGEST, cut, in_sizes, pieces, tapered, without_open_range

log = logging.getLogger("maskmill.feed")

QUIET_S = 2.0
"""So long nothing may be under way before open images are taken for lost."""
_LEASE_S = 60.0
"""So long after its last sign a feeder on another machine is taken for gone."""
_MOST_AT_ONCE = 20_000
"""Ids in one statement: SQLite takes 32,766, PostgreSQL 65,535."""
_SEGMENT_CHUNK = 32
_LAST_PER_WORKER = 4
"""So many full tasks for each worker are looked ahead, to see the end in time; and into so many pieces for each the last
frames are cut: none waits long for the others."""
_FAST_SIDE = 1280
"""With a larger detection side a long range of frames could take longer than a task may."""
_LOOK_EVERY_S = 30.0
"""How often messages that are out for too long are looked for."""
_LOOK_AT = 50_000
"""Images asked for at once; the queues of a high-water mark of 2000 hold 32,000."""
_UPDATE_AT_ONCE = 1000


class Feeder:
    """Keeps the queues filled for one job or segmentation, up to the high-water mark, and finds what was lost."""

    def __init__(
        self,
        app: Celery,
        engine: Engine,
        job: Work,
        settings: Settings,
        *,
        workers: int,
        first_sizes: Sequence[int] = (),
    ) -> None:
        """Take a job.

        Args:
            workers: processes that will work on it.
            first_sizes: of the messages to send until it is known what an image takes; without any, as many as
                later.
        """
        self._app = app
        self._engine = engine
        self._job = job
        self._desk = job.desk
        self._settings = settings
        self._workers = max(1, workers)
        # A segmentation has no times of its own to learn from.
        fixed = settings.chunk_size if isinstance(job, RecordedJob) else settings.chunk_size or _SEGMENT_CHUNK
        self._sizes = ChunkSizes(fixed, lambda: persistently(lambda: pace_of(engine, job.id)), first_sizes)
        self._quiet_since: float | None = None
        self._looked_at = time.monotonic()
        self._lease_until = 0.0
        self.has_room = True
        """The queues could have taken more when they were last fed."""
        self.is_drained = False
        """Nothing waited any more behind what was then sent."""

    def feed(self) -> int:
        """Send chunks until the queues are full or nothing waits; returns the images sent.

        Raises:
            TransientError: the broker or the database is away.
        """
        if not self._may_feed():
            return 0
        depths = queue_depths(self._app)
        full = self._sizes.now()
        opening = self._sizes.opening()
        most = self._settings.high_water
        if opening is not None:
            most = min(most, len(opening))
        elif self._sizes.is_growing:
            # What is further behind is cut when more is known.
            most = min(most, 2 * self._workers)
        room = most - sum(depths[stage] for stage in STAGES)
        sent = 0
        self.has_room = room > 0
        self.is_drained = False
        if room > 0:
            # More than there is room for: it shows in time how many are left.
            limit = min((min(room, 100) + _LAST_PER_WORKER * self._workers) * full, _MOST_AT_ONCE)
            waiting = persistently(lambda: unsent(self._engine, self._job.id, limit, desk=self._desk))
            self.is_drained = True
            for stage, ids in waiting:
                if opening is not None:
                    chunks = in_sizes(ids, opening)
                else:
                    chunks = self._chunks(stage, ids, full, is_last=len(ids) < limit)
                going: list[int] = []
                for chunk in islice(chunks, room):
                    send(self._app, stage, ChunkMessage(self._job.name, chunk))
                    self._sizes.opened(1)
                    going += chunk
                persistently(lambda going=going: mark_sent(self._engine, going, desk=self._desk))  # type: ignore[misc]
                sent += len(going)
                self.is_drained &= len(going) == len(ids) < limit
        self._note_quiet(sent == 0 and not any(depths.values()))
        return sent

    def _chunks(self, stage: Stage, ids: list[int], full: int, *, is_last: bool) -> Iterator[tuple[int, ...]]:
        """Waiting images in tasks; the last ones for now in ever smaller ones, so that all workers end together."""
        frames = self._frames(ids) if stage == "detect" else {}
        if is_last and not frames:
            yield from tapered(ids, full, self._sizes.least(), self._workers)
            return
        if not is_last:
            ids = without_open_range(ids, frames)
        size = min(full, self._share(len(ids), _LAST_PER_WORKER)) if is_last else full
        longest = size * (LONGEST if self._may_be_long() else 1)
        if is_last:
            longest = min(longest, self._share(len(ids), 2))
        yield from cut(ids, size, frames, longest=longest)

    def recover(self) -> int:
        """Find images whose message was lost, to be sent again; returns how many.

        Once nothing is under way all that is open was lost. Until then what was sent longer ago than twice
        the visibility timeout, is held by nobody and is in no message any more.

        Raises:
            TransientError: the broker or the database is away.
        """
        now = time.monotonic()
        if self._quiet_since is not None and now - self._quiet_since > QUIET_S:
            self._quiet_since = None
            before = time.time()
            lost = self._forget(before)
        elif now - self._looked_at > _LOOK_EVERY_S:
            lost = self._forget_missing(time.time() - 2 * self._settings.visibility_timeout_s)
            abandoned = persistently(lambda: forget_abandoned(self._engine, self._job.id, desk=self._desk))
            if abandoned:
                log.warning("job %s: %d images of dead processes are sent again", self._job.name, abandoned)
        else:
            return 0
        self._looked_at = now
        if lost:
            log.warning("job %s: %d images were lost on the way and are sent again", self._job.name, lost)
        return lost

    def _forget_missing(self, before: float) -> int:
        """Take images sent before a time for lost that are in no message: long queues lose nothing."""
        lost = 0
        last = 0
        while True:
            ids = persistently(
                lambda last=last: sent_before(  # type: ignore[misc]
                    self._engine, self._job.id, before, after_id=last, limit=_LOOK_AT, desk=self._desk
                )
            )
            if not ids:
                return lost
            last = ids[-1]
            missing = set(ids).difference(ids_under_way(self._app, self._job.name))
            lost += sum(self._forget(before, piece) for piece in pieces(sorted(missing), _UPDATE_AT_ONCE))

    def start_over(self) -> None:
        """Empty the queues and send again whatever is not final: a worker of a private broker died.

        What it had taken would come back only after the visibility timeout. Images that others work on
        are theirs by their claims.

        Raises:
            TransientError: the broker or the database is away.
        """
        clear_queues(self._app)
        self._forget()

    def stop(self) -> None:
        """Leave the job to whoever feeds it next."""
        with contextlib.suppress(TransientError):
            # Where the database is away the lease ends by itself.
            persistently(lambda: drop_lease(self._engine, self._lease, this_owner()), for_s=2)

    def _forget(self, before: float = float("inf"), ids: Sequence[int] | None = None) -> int:
        return persistently(
            lambda: forget_sent(self._engine, self._job.id, before=before, ids=ids, desk=self._desk)
        )

    def _may_feed(self) -> bool:
        """This process holds the job's lease, renewed now and then: two feeders would send all twice."""
        if time.monotonic() < self._lease_until - _LEASE_S / 2:
            return True
        if not persistently(lambda: take_lease(self._engine, self._lease, this_owner(), _LEASE_S)):
            return False
        self._lease_until = time.monotonic() + _LEASE_S
        return True

    @property
    def _lease(self) -> str:
        return f"feed {self._job.name}"

    def _share(self, waiting: int, per_worker: int) -> int:
        """Images a message where each worker is to get so many of them."""
        return max(1, -(-waiting // (per_worker * self._workers)))

    def _may_be_long(self) -> bool:
        return not isinstance(self._job, RecordedJob) or self._job.options.detect_side <= _FAST_SIDE

    def _frames(self, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Which of the images are frames of a video, and of which range; a folder has none."""
        if not isinstance(self._job, RecordedJob) or all(
            one.kind in ("directory", "file") for one in self._job.inputs
        ):
            return {}
        return persistently(lambda: frame_ranges(self._engine, ids))

    def _note_quiet(self, is_quiet: bool) -> None:
        if not is_quiet:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = time.monotonic()
