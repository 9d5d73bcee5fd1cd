"""Following a job to its end: feed the queues, watch the counts, find what was lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy import Engine

from common.database import persistently
from common.errors import TransientError, UnfitError
from common.ledger.images import is_any, is_any_unsent
from common.ledger.jobs import close_job
from common.ledger.reports import Counts, count_images
from common.ledger.segments import Work, state_of
from common.pipeline import OPEN_STATES, ImageState, JobState
from producer.feed import Feeder

log = logging.getLogger("maskmill.run")

_POLL_S = 0.2
_LATER_POLL_S = 0.5
"""After some seconds: chunks take seconds then."""
_YOUNG_S = 3.0
_NAPS_S = (0.01, 0.1)
"""Between two looks it is asked so often whether one is due, more often at the beginning: a short job ends at once."""
_NAP_SHARE = 0.05
_AWAY_S = 1.0
COUNT_SHARE = 0.02
"""Counting a million rows takes a while: at most this share of the time goes into it."""

OnTick = Callable[[Counts, bool], None]
"""Told the counts, and whether every image is recorded."""


class Recording:
    """The enumeration that runs beside, in a thread: the first images are worked on while it records more."""

    def __init__(self, record: Callable[[Callable[[], bool]], object]) -> None:
        """Start it.

        Args:
            record: records every image; asks its argument now and then whether it should stop.
        """
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(record,), name="scan", daemon=True)
        self._thread.start()

    def _run(self, record: Callable[[Callable[[], bool]], object]) -> None:
        try:
            record(self._stopped.is_set)
        except BaseException as exc:  # noqa: BLE001 (raised again by `check`, in the main thread)
            self._error = exc

    @property
    def is_over(self) -> bool:
        """Every image is recorded."""
        return not self._thread.is_alive()

    def check(self) -> None:
        """Raise what ended the enumeration, if anything did."""
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End it early, between two commits, and wait for that."""
        self._stopped.set()
        self._thread.join()


def follow(
    engine: Engine,
    job: Work,
    feeder: Feeder,
    recording: Recording,
    *,
    on_tick: OnTick,
    supervise: Callable[[], bool] = lambda: False,
    finish: Callable[[], None] | None = None,
    fail_fast: bool = False,
) -> JobState:
    """Feed and watch until every image is final; returns the state in which the job ended.

    Args:
        supervise: starts again what died; true makes lost messages be looked for.
        finish: ends a complete job; default: its state is set to `done`.
        fail_fast: end as soon as one image has failed.

    Raises:
        UnfitError: a worker halted the job: a model is missing or unfit.
    """
    watch = _Watch(engine, job, feeder, recording, on_tick, finish, fail_fast)
    old_at = time.monotonic() + _YOUNG_S
    starts_over = False
    while True:
        recording.check()
        try:
            starts_over |= supervise()
            if starts_over:
                feeder.start_over()
                starts_over = False
            state = watch.look()
            if state is not None:
                return state
            watch.nap(_POLL_S if time.monotonic() < old_at else _LATER_POLL_S)
        except TransientError as exc:
            log.warning("%s; going on as soon as it is back", exc)
            time.sleep(_AWAY_S)


class _Watch:
    """What is remembered between two looks at a job."""

    def __init__(
        self,
        engine: Engine,
        job: Work,
        feeder: Feeder,
        recording: Recording,
        on_tick: OnTick,
        finish: Callable[[], None] | None,
        fail_fast: bool,
    ) -> None:
        self._engine = engine
        self._job = job
        self._feeder = feeder
        self._recording = recording
        self._on_tick = on_tick
        self._finish = finish or (lambda: close_job(engine, job.id, "done", desk=job.desk))
        self._fail_fast = fail_fast
        self._obstacle: str | None = None
        self._count_at = 0.0
        self._waits_for_first = True
        self._started = time.monotonic()

    def look(self) -> JobState | None:
        """Feed, repair and count once; the state in which the job ended, or None while it goes on.

        Raises:
            TransientError: the broker or the database is away.
            UnfitError: the job was halted or removed.
        """
        is_recorded = self._recording.is_over
        if self._feeder.feed():
            self._waits_for_first = False
        self._feeder.recover()
        is_over = is_recorded and not self._is_any(*OPEN_STATES)
        is_failed = self._fail_fast and self._is_any("failed")
        if is_over or is_failed or time.monotonic() >= self._count_at:
            start = time.monotonic()
            counts = persistently(lambda: count_images(self._engine, self._job.id, desk=self._job.desk))
            self._count_at = time.monotonic() + (time.monotonic() - start) * (1 / COUNT_SHARE - 1)
            self._on_tick(counts, is_recorded)
        now = persistently(lambda: state_of(self._engine, self._job))
        if now is None:
            raise UnfitError(f"job {self._job.name} was removed from the database")
        state, error = now
        if state == "halted":
            raise UnfitError(error or "a worker halted the job")
        if state != "running":
            return state
        if error != self._obstacle:
            self._obstacle = error
            log.warning("job %s: %s", self._job.name, self._obstacle or "going on")
        if is_over:
            persistently(self._finish)
            return "done"
        return "running" if is_failed else None

    def nap(self, for_s: float) -> None:
        """Wait for the next look, or until the first images are there, or the last ones have ended.

        Raises:
            TransientError: the database is away.
        """
        until = time.monotonic() + for_s
        while (left := until - time.monotonic()) > 0:
            shortest, longest = _NAPS_S
            age = time.monotonic() - self._started
            time.sleep(min(left, longest, max(shortest, _NAP_SHARE * age)))
            is_recorded = self._recording.is_over
            if self._waits_for_first and persistently(
                lambda: is_any_unsent(self._engine, self._job.id, desk=self._job.desk)
            ):
                # Once: another process may be the one that feeds.
                self._waits_for_first = False
                return
            if is_recorded and self._feeder.is_drained and not self._is_any(*OPEN_STATES):
                return

    def _is_any(self, *states: ImageState) -> bool:
        return persistently(lambda: is_any(self._engine, self._job.id, *states, desk=self._job.desk))
