"""Where work is written down: a desk has the rows of what is asked for, and a row per image to work on.

Jobs and segmentations are fed, claimed, given back and counted by the same statements on different tables,
which have columns of the same names for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ColumnElement, Table

from common.models import Image, Job, SegmentImage, SegmentRun
from common.pipeline import STAGE_OF, ImageState, Stage


@dataclass(frozen=True, eq=False)
class Desk:
    """One kind of work.

    Attributes:
        heads: what was asked for, with `state`, `error`, `started_at` and `finished_at`.
        work: its images, with state, claim, attempts and error; `id` is what messages name.
        head_column: the column of `work` that points to `heads`.
        stage_of: the stage for which an image in an open state waits, in the order of the walk.
    """

    heads: Table
    work: Table
    head_column: str
    stage_of: dict[ImageState, Stage]

    def belongs_to(self, head_id: int) -> ColumnElement[Any]:
        """The condition that a row of `work` is part of one head."""
        return self.work.c[self.head_column] == head_id


# The tables, not the classes: an UPDATE of many rows with a WHERE is not one of the ORM.
JOBS = Desk(cast(Table, Job.__table__), cast(Table, Image.__table__), "job_id", STAGE_OF)
SEGMENTATIONS = Desk(
    cast(Table, SegmentRun.__table__), cast(Table, SegmentImage.__table__), "run_id", {"queued": "segment"}
)


def desk_of(stage: Stage) -> Desk:
    """The desk of a stage."""
    return SEGMENTATIONS if stage == "segment" else JOBS
