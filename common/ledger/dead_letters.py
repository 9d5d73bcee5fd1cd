"""Refused messages: written down, so that somebody who sends them is noticed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from sqlalchemy import Engine, insert

from common.database import persistently
from common.models import DeadLetter
from common.owner import process_name, this_owner
from common.pipeline import Stage

_CONTENT_CHARS = 2000


def record_refusal(engine: Engine, stage: Stage, reason: str, content: Mapping[str, object]) -> None:
    """Record a message that was refused, cut to a bounded length."""
    text = json.dumps(content, default=repr)[:_CONTENT_CHARS]

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(
                insert(DeadLetter).values(
                    received_at=time.time(),
                    stage=stage,
                    worker=process_name(this_owner()),
                    reason=reason[:_CONTENT_CHARS],
                    content=text,
                )
            )

    persistently(write)
