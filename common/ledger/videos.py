"""Rows of videos: the index of each, stored once by the producer and read by every worker."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Engine, case, func, select

from common.database import insert_into, reading
from common.models import Image, InputRow, Video
from common.pipeline import OPEN_STATES


@dataclass(frozen=True, slots=True)
class RecordedVideo:
    """A video as it stands in SQL; see `common.models.Video` for the columns."""

    path: bytes
    size: int
    mtime_ns: int
    frames: int
    packets: int
    is_accurate: bool
    arrays: bytes


def record_video(engine: Engine, job_id: int, video: RecordedVideo) -> None:
    """Store the index of a video, instead of the one that is there, if any."""
    statement = insert_into(engine, Video).values(job_id=job_id, **asdict(video))
    columns = [name for name in asdict(video) if name != "path"]
    with engine.begin() as connection:
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["job_id", "path"], set_={name: statement.excluded[name] for name in columns}
            )
        )


def find_video(engine: Engine, job_id: int, path: bytes) -> RecordedVideo | None:
    """The video of a job at an absolute path as the producer sees it."""
    with reading(engine) as connection:
        row = connection.execute(
            select(Video.__table__).where(Video.job_id == job_id, Video.path == path)
        ).one_or_none()
    if row is None:
        return None
    return RecordedVideo(
        row.path, row.size, row.mtime_ns, row.frames, row.packets, row.is_accurate, row.arrays
    )


@dataclass(frozen=True, slots=True)
class VideoCount:
    """How many frames a video has: counted when it was indexed, corrected when all of them have been seen.

    `recorded` are the frames that were not left out; `decoded` those whose pixels a worker has had.
    """

    path: bytes
    counted: int
    is_accurate: bool
    recorded: int
    decoded: int
    open: int

    @property
    def all_seen(self) -> bool:
        """Every frame was asked for, and was there or was not."""
        return self.recorded == self.counted and self.open == 0

    @property
    def frames(self) -> int:
        """The best count there is."""
        return self.decoded if self.all_seen else self.counted


def video_counts(engine: Engine, job_id: int) -> list[VideoCount]:
    """The videos among the inputs of a job, in input order."""
    is_open = case((Image.status.in_(OPEN_STATES), 1), else_=0)
    query = (
        select(
            Video.path,
            Video.frames,
            Video.is_accurate,
            func.count(Image.id).label("recorded"),
            func.count(Image.width).label("decoded"),
            func.coalesce(func.sum(is_open), 0).label("open"),
        )
        .join(InputRow, (InputRow.job_id == Video.job_id) & (InputRow.root == Video.path))
        .outerjoin(Image, Image.input_id == InputRow.id)
        .where(Video.job_id == job_id, InputRow.kind == "video")
        .group_by(Video.id, Video.path, Video.frames, Video.is_accurate)
        .order_by(func.min(InputRow.position))
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    return [
        VideoCount(row.path, row.frames, row.is_accurate, row.recorded, row.decoded, int(row.open))
        for row in rows
    ]
