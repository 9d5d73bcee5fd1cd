"""The page of metrics: asked of SQL and Redis each time it is wanted.

It tells of all workers, since it reads what they have committed: one page a cluster is enough. Only what is
new in `chunks` is read, and images are counted as rarely as the counting is dear, so that a page stays cheap
with millions of rows.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, TypeAlias

from celery import Celery
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from common.broker import broker_version, queue_depths
from common.database import engine_for, first_line
from common.errors import MaskmillError
from common.models import DeadLetter, Job
from common.pipeline import STAGES
from common.settings import Settings
from workers.metrics.counts import CountCache, ImageCounts
from workers.metrics.tail import ChunkReader
from workers.metrics.tally import ChunkTally

log = logging.getLogger("maskmill.metrics")

_RECENT_S = 3600.0
"""Jobs that ended longer ago are left out: the page must not grow with the age of a cluster."""
_JOB_STATES = ("running", "done", "interrupted", "halted", "cancelled")

_Values: TypeAlias = dict[tuple[str, ...], float]


class MaskmillCollector(Collector):
    """Asks SQL and Redis each time a page is wanted; what does not answer is left out and shown as down."""

    def __init__(self, settings: Settings, app: Celery) -> None:
        self._settings = settings
        self._app = app
        self._lock = threading.Lock()
        self._reader = ChunkReader()
        self._tally = ChunkTally(settings.chunk_size)
        self._counts = CountCache()
        self._down: set[str] = set()

    def collect(self) -> Iterator[Metric]:
        """All metrics; one page at a time."""
        with self._lock:
            start = time.monotonic()
            asked = [
                *self._asked("database", self._from_database),
                *self._asked("broker", self._from_broker),
            ]
            seconds = time.monotonic() - start
        yield _gauge("maskmill_build_info", "Version of maskmill.", {(version("maskmill"),): 1}, "version")
        yield from asked
        yield _gauge("maskmill_scrape_seconds", "Time this page took.", {(): seconds})

    def _asked(self, what: str, ask: Callable[[], list[Metric]]) -> Iterator[Metric]:
        metrics: list[Metric] = []
        try:
            metrics = ask()
        except (MaskmillError, DBAPIError) as exc:
            if what not in self._down:
                log.warning("the %s does not answer: %s", what, first_line(exc))
            self._down.add(what)
        else:
            self._down.discard(what)
        yield _gauge(f"maskmill_{what}_up", f"1 if the {what} answers.", {(): float(what not in self._down)})
        yield from metrics

    def _from_database(self) -> list[Metric]:
        # AUTOCOMMIT: on SQLite a transaction would take the write lock, and workers would wait for a page.
        engine = engine_for(self._settings.database_url)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for chunk in self._reader.read(connection):
                self._tally.add(chunk)
            by_state = select(Job.state, func.count()).group_by(Job.state)
            states = dict(connection.execute(by_state).tuples().all())
            jobs = connection.execute(
                select(Job.__table__)
                .where((Job.state != "done") | (Job.finished_at > time.time() - _RECENT_S))
                .order_by(Job.id)
            ).all()
            self._counts.keep_only(job.id for job in jobs)
            counts = {job.name: self._counts.of(connection, job) for job in jobs}
            letters = connection.execute(select(func.count()).select_from(DeadLetter)).scalar_one()
        per_state: _Values = {(state,): float(states.get(state, 0)) for state in _JOB_STATES}
        return [
            _gauge("maskmill_jobs", "Jobs per state.", per_state, "state"),
            _gauge("maskmill_dead_letters", "Messages that were refused.", {(): float(letters)}),
            *self._job_metrics([job for job in jobs if job.state == "running"]),
            *_image_metrics(counts),
            *self._chunk_metrics(),
        ]

    def _job_metrics(self, running: Sequence[Any]) -> list[Metric]:
        now, ended_at = time.time(), self._tally.ended_at
        idle: _Values = {
            (job.name,): max(0.0, now - max(job.started_at, ended_at.get(job.id, 0.0))) for job in running
        }
        waiting: _Values = {(job.name,): float(job.error is not None) for job in running}
        return [
            _gauge("maskmill_idle_seconds", "Seconds since a running job last progressed.", idle, "job"),
            _gauge("maskmill_job_waits", "1 while a running job waits for disk or database.", waiting, "job"),
        ]

    def _chunk_metrics(self) -> list[Metric]:
        worked = CounterMetricFamily(
            "maskmill_worked", "What the chunks so far add up to; repeats count.", labels=["stage", "what"]
        )
        for (stage, what), total in sorted(self._tally.totals.items()):
            worked.add_metric([stage, what], total)
        whole = HistogramMetricFamily(
            "maskmill_stage_seconds", "Wall-clock seconds of a chunk in a stage.", labels=["stage"]
        )
        for stage, seconds in sorted(self._tally.stage_seconds.items()):
            seconds.add_to(whole, [stage])
        parts = HistogramMetricFamily(
            "maskmill_part_seconds",
            "Seconds of a chunk in one part of a stage, summed over threads.",
            labels=["stage", "part"],
        )
        for (stage, part), seconds in sorted(self._tally.part_seconds.items()):
            seconds.add_to(parts, [stage, part])
        fill = HistogramMetricFamily(
            "maskmill_chunk_fill", "Images of a chunk, as a part of MASKMILL_CHUNK_SIZE.", labels=["stage"]
        )
        for stage, part_of_full in sorted(self._tally.fill.items()):
            part_of_full.add_to(fill, [stage])
        return [worked, whole, parts, fill]

    def _from_broker(self) -> list[Metric]:
        # Says within a second that nobody is there; asking for the queues would try again for six.
        broker_version(self._app, self._settings)
        depths = queue_depths(self._app)
        waiting: _Values = {(stage,): float(depths[stage]) for stage in STAGES}
        return [
            _gauge("maskmill_queue_messages", "Messages that wait for a worker.", waiting, "queue"),
            _gauge(
                "maskmill_unacked_messages",
                "Messages delivered and not acknowledged.",
                {(): float(depths["unacked"])},
            ),
        ]


def _image_metrics(counts: Mapping[str, ImageCounts]) -> list[Metric]:
    images: _Values = {(name, s): float(n) for name, one in counts.items() for s, n in one.states.items()}
    failures: _Values = {(name, c): float(n) for name, one in counts.items() for c, n in one.failures.items()}
    repeated: _Values = {(name,): float(one.repeated) for name, one in counts.items()}
    return [
        _gauge("maskmill_images", "Images of recent jobs per state.", images, "job", "state"),
        _gauge("maskmill_failed_images", "Failed images per cause.", failures, "job", "code"),
        _gauge("maskmill_repeated_images", "Images on their second attempt or later.", repeated, "job"),
    ]


def _gauge(name: str, text: str, values: _Values, *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family
