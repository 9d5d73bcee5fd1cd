"""Feeding: recorded images become messages, only as many as the queues should hold."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from itertools import islice

from celery import Celery
from sqlalchemy import Engine

from common.broker import clear_queues, queue_depths, send
from common.database import persistently
from common.errors import TransientError
from common.ledger.images import forget_sent, mark_sent, unsent
from common.ledger.jobs import RecordedJob
from common.ledger.leases import drop_lease, take_lease
from common.owner import this_owner
from common.pipeline import STAGES, ChunkMessage
from common.settings import Settings

QUIET_S = 2.0
"""So long nothing may be under way before open images are taken for lost."""
_LEASE_S = 60.0
"""So long after its last sign a feeder on another machine is taken for gone."""
_LOOK_EVERY_S = 30.0
"""How often messages that are out for too long are looked for."""


class Feeder:
    """Keeps the queues filled for one job, up to the high-water mark, and finds what was lost."""

    def __init__(
        self, app: Celery, engine: Engine, job: RecordedJob, settings: Settings, *, workers: int
    ) -> None:
        self._app = app
        self._engine = engine
        self._job = job
        self._settings = settings
        self._workers = max(1, workers)
        self._quiet_since: float | None = None
        self._looked_at = time.monotonic()
        self._lease_until = 0.0
        self.has_room = True
        """The queues could have taken more when they were last fed."""

    def feed(self) -> int:
        """Send chunks until the queues are full or nothing waits; returns the images sent.

        Raises:
            TransientError: the broker or the database is away.
        """
        if not self._may_feed():
            return 0
        depths = queue_depths(self._app)
        room = self._settings.high_water - sum(depths[stage] for stage in STAGES)
        sent = 0
        self.has_room = room > 0
        if room > 0:
            limit = min(room, 100) * self._settings.chunk_size
            for stage, ids in persistently(lambda: unsent(self._engine, self._job.id, limit)):
                # Fewer than asked for: these are the last ones for now, and should keep all workers busy.
                size = self._settings.chunk_size if len(ids) == limit else self._chunk_size(len(ids))
                for chunk in _pieces(ids, size):
                    send(self._app, stage, ChunkMessage(self._job.name, chunk))
                persistently(lambda ids=ids: mark_sent(self._engine, ids))  # type: ignore[misc]
                sent += len(ids)
        self._note_quiet(sent == 0 and not any(depths.values()))
        return sent

    def recover(self) -> int:
        """Take what is open for lost once nothing is under way; returns how many images will be sent again.

        Also what was sent longer ago than twice the visibility timeout.
        """
        now = time.monotonic()
        if self._quiet_since is not None and now - self._quiet_since > QUIET_S:
            before = time.time()
            self._quiet_since = None
        elif now - self._looked_at > _LOOK_EVERY_S:
            before = time.time() - 2 * self._settings.visibility_timeout_s
        else:
            return 0
        self._looked_at = now
        return persistently(lambda: forget_sent(self._engine, self._job.id, before=before))

    def start_over(self) -> None:
        """Empty the queues and send again whatever is not final: a worker of a private broker died.

        What it had taken would come back only after the visibility timeout. Images that others work on
        are theirs by their claims.

        Raises:
            TransientError: the broker or the database is away.
        """
        clear_queues(self._app)
        persistently(lambda: forget_sent(self._engine, self._job.id, before=float("inf")))

    def stop(self) -> None:
        """Leave the job to whoever feeds it next."""
        with contextlib.suppress(TransientError):
            # Where the database is away the lease ends by itself.
            persistently(lambda: drop_lease(self._engine, self._lease, this_owner()), for_s=2)

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

    def _chunk_size(self, waiting: int) -> int:
        """Images a message: the setting, or fewer where few images would leave workers idle."""
        return max(1, min(self._settings.chunk_size, -(-waiting // (2 * self._workers))))

    def _note_quiet(self, is_quiet: bool) -> None:
        if not is_quiet:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = time.monotonic()


def _pieces(ids: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """The ids in tuples of `size`, the last one shorter (`itertools.batched` is of Python 3.12)."""
    iterator = iter(ids)
    while piece := tuple(islice(iterator, size)):
        yield piece
