"""The videos of a command: each is indexed once, named frame by frame, and stored for the workers.

PyAV is imported with the first video: a command without one starts as fast as ever.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from common.database import persistently
from common.errors import ImageError, UsageError
from common.escaping import escape
from common.ledger.videos import RecordedVideo, record_video

if TYPE_CHECKING:
    from common.video_index import VideoIndex

log = logging.getLogger("maskmill.video")

VIDEO_EXTENSIONS = (
    b".avi",
    b".flv",
    b".mkv",
    b".mov",
    b".mp4",
    b".mpeg",
    b".mpg",
    b".webm",
    b".wmv",
    b".ts",
    b".vob",
)
_FRAME_NAME = re.compile(rb"(.*)_(\d{6,})\.png", re.DOTALL)


def is_video_name(name: bytes) -> bool:
    """The extension, in any case, is that of a video; a hidden file is none."""
    return name.lower().endswith(VIDEO_EXTENSIONS) and not name.startswith(b".")


def frame_name(video: bytes, frame: int, frames: int) -> bytes:
    """The name of a frame, counted from 1 in at least six digits: `NAME_000001.png`.

    Args:
        video: path or name of the video.
        frame: from 0.
        frames: how many the video has; from a million on all names have more digits, to stay in order.
    """
    stem = os.path.splitext(os.path.basename(video))[0]
    return b"%s_%0*d.png" % (stem, max(6, len(str(frames))), frame + 1)


def frame_of(path: bytes) -> tuple[bytes, int] | None:
    """(video, frame from 0) that `VIDEO/NAME_000001.png` stands for; None for any other path.

    So a frame is written in `missed_images.txt`, which can be given as a list again.
    """
    video, name = os.path.split(path)
    match = _FRAME_NAME.fullmatch(name)
    if match is None or not is_video_name(os.path.basename(video)):
        return None
    frame = int(match[2]) - 1
    return (video, frame) if match[1] == os.path.splitext(os.path.basename(video))[0] and frame >= 0 else None


@dataclass(frozen=True, slots=True)
class FoundFrame:
    """Which frame of which video an image is; `keyframe` is the one from which it is decoded."""

    video: bytes
    frame: int
    keyframe: int


@dataclass
class Videos:
    """The indices of the videos of one command, by absolute path."""

    _known: dict[bytes, VideoIndex] = field(default_factory=dict)
    _recorded: set[bytes] = field(default_factory=set)

    def index(self, path: bytes) -> VideoIndex:
        """The index of a video, which is scanned when it is first asked for.

        Raises:
            UsageError: it is no video, or cannot be read.
        """
        if path not in self._known:
            from common.video_scan import index_video

            try:
                self._known[path] = index_video(path)
            except ImageError as exc:
                raise UsageError(str(exc)) from exc
        return self._known[path]

    def names(self, path: bytes) -> Iterator[bytes]:
        """The names of all frames, in order."""
        frames = self.index(path).frames
        return (frame_name(path, frame, frames) for frame in range(frames))

    def found(self, path: bytes, frame: int) -> FoundFrame:
        """A frame with the keyframe from which it is decoded; one that is not there has none."""
        index = self.index(path)
        return FoundFrame(path, frame, int(index.keys[index.key_of(min(frame, index.frames - 1))]))

    def record(self, engine: Engine, job_id: int, path: bytes) -> None:
        """Store the index of a video for the workers, once."""
        if path in self._recorded:
            return
        index = self.index(path)
        row = RecordedVideo(
            path,
            index.size,
            index.mtime_ns,
            index.frames,
            index.packets,
            index.is_accurate,
            index.pack(),
        )
        persistently(lambda: record_video(engine, job_id, row))
        if index.missing:
            log.warning(
                "%s is cut short: %d frames of its table lie beyond its end", escape(path), index.missing
            )
        self._recorded.add(path)
