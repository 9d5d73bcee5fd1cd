"""Refused messages: written down, so that somebody who sends them is noticed."""

from __future__ import annotations

import time

from sqlalchemy import Engine, insert

from common.database import persistently
from common.ledger.results import storable
from common.models import DeadLetter
from common.owner import process_name, this_owner
from common.pipeline import Stage


def record_refusal(engine: Engine, stage: Stage, reason: str, content: str) -> None:
    """Record a message that was refused, cut to a bounded length."""

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(
                insert(DeadLetter).values(
                    received_at=time.time(),
                    stage=stage,
                    worker=process_name(this_owner()),
                    reason=storable(reason),
                    content=storable(content),
                )
            )

    persistently(write)
