"""Celery's way to Redis, with a judge at the entrance: see `common.envelopes`."""

from __future__ import annotations

import logging
from typing import Any

import redis
from celery.app.amqp import AMQP
from kombu.connection import Connection
from kombu.transport.redis import Channel, QoS, Transport

from common.envelopes import admit
from common.pipeline import STAGES

log = logging.getLogger("maskmill.worker")

_QUEUES = {stage.encode(): stage for stage in STAGES}


class _JudgingRedis(redis.Redis):
    """A client that hands out messages from the stages' queues only after they were judged."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """The answer to a command."""
        answer = super().parse_response(connection, command_name, **options)
        if command_name == "BRPOP" and answer:
            key, raw = answer
            # A queue with a priority has the name of the queue, a separator and the number.
            stage = _QUEUES.get(key.split(Channel.sep.encode())[0])
            if stage is not None:
                return [key, admit(stage, raw)]
        return answer


class _ForgivingQoS(QoS):
    """Delivered messages; nonsense among them is removed instead of ending the worker that restores it."""

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back into its queue."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except (ValueError, TypeError, LookupError, AttributeError) as exc:
            log.error("a delivered message cannot be read and is removed: %s", type(exc).__name__)
            with self.channel.conn_or_acquire(client) as connection:
                self._remove_from_indices(tag, connection.pipeline()).execute()


class _JudgingChannel(Channel):
    QoS = _ForgivingQoS

    def _get_client(self) -> type[redis.Redis]:
        super()._get_client()  # checks the version of the library
        return _JudgingRedis


class JudgingTransport(Transport):
    """Kombu's Redis transport with the judge."""

    Channel = _JudgingChannel


class _JudgingConnection(Connection):
    def get_transport_cls(self) -> type[Transport]:
        """The URL alone cannot name it: kombu takes the transport from the URL's scheme."""
        return JudgingTransport


class JudgingAMQP(AMQP):  # type: ignore[misc]
    """What the Celery app takes its connections from."""

    Connection = _JudgingConnection
