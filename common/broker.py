"""The Celery app and its settings, each with its reason; sending messages and asking the queues.

The figures are measured in spec/reliability.md: sections are named where they decide.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from common.children import RUN_VARIABLE
from common.envelopes import ids_of
from common.errors import TransientError, UnfitError, UsageError
from common.pipeline import QUEUE_OF, STAGES, TASK_NAMES, ChunkMessage, Stage
from common.settings import Settings, hide_secret


def make_app(settings: Settings) -> Celery:
    """The Celery app of this project on a broker; tasks are registered by `workers.app`.

    Raises:
        UsageError: the broker's URL is not one of Redis.
    """
    if not settings.broker_url.startswith(("redis://", "rediss://", "redis+socket://")):
        raise UsageError(
            f"the broker must be Redis (redis://…, rediss://… or redis+socket://…), "
            f"got {hide_secret(settings.broker_url)!r}; set MASKMILL_BROKER_URL"
        )
    # Messages are judged as bytes: garbage would end the main process (§1.9).
    app = Celery("maskmill", broker=settings.broker_url, amqp="common.transport:JudgingAMQP")
    is_private = RUN_VARIABLE in os.environ
    app.conf.update(
        # Only JSON: a message can never run code (§4).
        accept_content=["json"],
        task_serializer="json",
        result_serializer="json",
        event_serializer="json",
        # A crashed task is done again; its effects are idempotent (§1.2).
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_retry_on_worker_lost=True,
        # The attempts in SQL decide what is failed, not the broker.
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        # 20 executions of 12 tasks with 4, 12 with 1 (E20).
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        # Results are rows. A result backend would keep 439 bytes a task for a day (§1.5).
        task_ignore_result=True,
        result_backend=None,
        task_soft_time_limit=settings.soft_time_limit_s,
        task_time_limit=settings.time_limit_s,
        broker_transport_options={
            "visibility_timeout": settings.visibility_timeout_s,
            # A dead worker's tasks are back after 28 s instead of 108 s (E2).
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            # Behind a silent connection: recovered in 22 s, without these not within 150 s (E21).
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            "client_name": "maskmill",
        },
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # About 56 s: with the default 0.6 s a 5 s outage breaks the hand-over (E8).
        task_publish_retry=True,
        task_publish_retry_policy={
            "max_retries": 30,
            "interval_start": 0.2,
            "interval_step": 0.5,
            "interval_max": 2,
        },
        # With REMAP_SIGTERM=SIGQUIT: 10 of 10 stops within it, `unacked` empty (finding 7). Docker kills after 10 s.
        worker_soft_shutdown_timeout=8,
        worker_enable_soft_shutdown_on_idle=False,
        # Models are loaded in the child; after the default 4 s it would be taken for dead (§2).
        worker_proc_alive_timeout=120,
        worker_max_tasks_per_child=2000,
        worker_max_memory_per_child=2_000_000,
        # Events are for Flower, which cannot see the private broker of `run`. Remote control stays on: without it a
        # worker whose Redis was restarted connects again and takes no message any more (Celery 5.7, kombu 5.7).
        worker_send_task_events=not is_private,
        task_send_sent_event=False,
        # A misspelt queue is an error instead of a queue that nobody reads.
        task_create_missing_queues=False,
        task_queues=[Queue(stage) for stage in STAGES],
        task_default_queue=STAGES[0],
        task_routes={name: {"queue": QUEUE_OF[stage]} for stage, name in TASK_NAMES.items()},
        worker_eta_task_limit=1000,
        worker_hijack_root_logger=False,
        task_repr_maxlevels=2,
        broker_pool_acquire_timeout=30,
    )
    return app


def send(app: Celery, stage: Stage, message: ChunkMessage, *, after_s: float | None = None) -> None:
    """Send one chunk to the queue of a stage.

    Args:
        after_s: not to be begun before so many seconds.

    Raises:
        TransientError: the broker did not take it although it was tried for about a minute.
    """
    try:
        app.send_task(
            TASK_NAMES[stage],
            kwargs=message.as_kwargs(),
            queue=QUEUE_OF[stage],
            countdown=after_s,
            # The worker's own count: within one, Celery would write them into the message.
            time_limit=None,
            soft_time_limit=None,
            # What Flower and the logs show: never a path.
            argsrepr="",
            kwargsrepr=str(message),
        )
    except OperationalError as exc:
        raise TransientError(f"the broker does not answer: {exc}") from exc


def queue_depths(app: Celery) -> dict[str, int]:
    """Messages waiting per stage, and `unacked`: delivered and not acknowledged.

    Raises:
        TransientError: the broker does not answer.
    """
    try:
        with redis_client(app) as client:
            pipeline = client.pipeline(transaction=False)
            for stage in STAGES:
                pipeline.llen(stage)
            pipeline.hlen("unacked")
            return dict(zip((*STAGES, "unacked"), map(int, pipeline.execute()), strict=True))
    except _connection_errors(app) as exc:
        raise TransientError(f"the broker does not answer: {exc}") from exc


def ids_under_way(app: Celery, job: str) -> Iterator[int]:
    """Row ids of all images of a job that are in a message, waiting in a queue or delivered, at one moment.

    Not among them: what Redis has handed over and a worker has not yet noted, for some milliseconds.

    Raises:
        TransientError: the broker does not answer.
    """
    try:
        with redis_client(app) as client:
            # One transaction: a message that moves from one place to another is seen once at least.
            pipeline = client.pipeline(transaction=True)
            for stage in STAGES:
                pipeline.lrange(stage, 0, -1)
            pipeline.hvals("unacked")
            *waiting, delivered = pipeline.execute()
    except _connection_errors(app) as exc:
        raise TransientError(f"the broker does not answer: {exc}") from exc
    for raw in chain(*waiting):
        yield from ids_of(raw, job)
    for raw in delivered:
        with suppress(ValueError, TypeError, LookupError):
            yield from ids_of(json.dumps(json.loads(raw)[0]), job)


def clear_queues(app: Celery) -> None:
    """Remove every message, taken or waiting; for a private broker only.

    Raises:
        TransientError: the broker does not answer.
    """
    try:
        with redis_client(app) as client:
            client.delete(*STAGES, "unacked", "unacked_index")
    except _connection_errors(app) as exc:
        raise TransientError(f"the broker does not answer: {exc}") from exc


@contextmanager
def redis_client(app: Celery) -> Iterator[Any]:
    """A client of the broker's own protocol, on a connection that stays open: opening one takes some milliseconds."""
    with app.pool.acquire(block=True) as connection:
        yield connection.default_channel.client


def broker_version(app: Celery, settings: Settings) -> str:
    """Name and version of the broker's server.

    Raises:
        UnfitError: it does not answer; the message says what to do.
    """
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=5)
            client: Any = connection.default_channel.client
            return f"redis {client.info('server')['redis_version']}"
    except _connection_errors(app) as exc:
        raise UnfitError(
            f"the broker {hide_secret(settings.broker_url)} does not answer ({exc}); "
            "start Redis, set MASKMILL_BROKER_URL, or use `maskmill run`, which brings its own"
        ) from exc


def _connection_errors(app: Celery) -> tuple[type[Exception], ...]:
    with app.connection_for_write() as connection:
        return (OperationalError, *connection.connection_errors, *connection.channel_errors)
