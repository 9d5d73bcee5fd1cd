"""Frames of videos for the stages: one open video stays where it is between the chunks of a process."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence

from sqlalchemy import Engine

from common.arrays import ImageBgr
from common.database import persistently
from common.errors import ImageError
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedJob
from common.ledger.videos import find_video
from common.video_index import VideoIndex
from common.video_reader import VideoReader
from workers.sources import Sources

_OPEN_AT_MOST = 2
"""Videos whose frames take turns; an open one holds the frames that its decoder refers to."""


class OpenVideos:
    """The videos that a process has open, the last used ones."""

    def __init__(self) -> None:
        self._readers: dict[tuple[int, bytes], tuple[VideoReader, VideoIndex]] = {}

    def reader(
        self, engine: Engine, job: RecordedJob, recorded: bytes, path: bytes, roots: Sequence[bytes] | None
    ) -> VideoReader:
        """A video of a job, at its recorded path and at its path on this machine.

        Raises:
            ImageError: it cannot be read, or has changed since it was indexed.
        """
        key = (job.id, recorded)
        if key in self._readers and not _is_unchanged(path, self._readers[key][1]):
            self.drop(key)
        if key not in self._readers:
            index = _index_of(engine, job, recorded)
            self._readers[key] = VideoReader(path, index, roots=roots), index
            for old in list(self._readers)[:-_OPEN_AT_MOST]:
                self.drop(old)
        self._readers[key] = self._readers.pop(key)
        return self._readers[key][0]

    def drop(self, key: tuple[int, bytes]) -> None:
        """Close a video, after an error that may have left it anywhere."""
        if key in self._readers:
            self._readers.pop(key)[0].close()


class ChunkFrames:
    """The frames of one chunk, decoded in one pass although several threads ask for them.

    A frame that is decoded on the way to the one asked for, and belongs to the chunk, waits for its thread.

    Args:
        images: of the chunk; others than frames may be among them.
    """

    def __init__(
        self,
        open_videos: OpenVideos,
        engine: Engine,
        job: RecordedJob,
        sources: Sources,
        images: Sequence[ClaimedImage],
    ) -> None:
        self._open = open_videos
        self._engine = engine
        self._job = job
        self._sources = sources
        self._lock = threading.Lock()
        self._to_come: dict[bytes, deque[int]] = {}
        for image in sorted(images, key=lambda one: one.frame_index or 0):
            if image.frame_index is not None:
                video = os.path.dirname(sources.recorded_path(image))
                self._to_come.setdefault(video, deque()).append(image.frame_index)
        self._waiting: dict[tuple[bytes, int], ImageBgr | ImageError] = {}

    def read(self, image: ClaimedImage) -> ImageBgr:
        """The pixels of a frame; each is asked for once.

        Raises:
            ImageError: it cannot be read or decoded.
        """
        assert image.frame_index is not None
        recorded = os.path.dirname(self._sources.recorded_path(image))
        path = os.path.dirname(self._sources.path(image))
        with self._lock:
            to_come = self._to_come.get(recorded, deque())
            while to_come and to_come[0] <= image.frame_index:
                frame = to_come.popleft()
                self._waiting[recorded, frame] = self._decode(recorded, path, frame)
            found = self._waiting.pop((recorded, image.frame_index), None)
            if found is None:
                found = self._decode(recorded, path, image.frame_index)
        if isinstance(found, ImageError):
            raise found
        return found

    def _decode(self, recorded: bytes, path: bytes, frame: int) -> ImageBgr | ImageError:
        try:
            return self._open.reader(self._engine, self._job, recorded, path, self._sources.roots).read(frame)
        except ImageError as exc:
            return exc
        except BaseException:
            self._open.drop((self._job.id, recorded))
            raise


def _index_of(engine: Engine, job: RecordedJob, path: bytes) -> VideoIndex:
    row = persistently(lambda: find_video(engine, job.id, path))
    if row is None:
        raise ImageError(
            "unexpected", "the index of this video is missing in the database; run the job again"
        )
    return VideoIndex.unpack(
        row.arrays,
        frames=row.frames,
        packets=row.packets,
        is_accurate=row.is_accurate,
        size=row.size,
        mtime_ns=row.mtime_ns,
    )


def _is_unchanged(path: bytes, index: VideoIndex) -> bool:
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (index.size, index.mtime_ns)
