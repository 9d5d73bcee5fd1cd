"""The pixels of what enumeration found, in this process: for estimates and for a single look."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from producer.inputs import Input
from producer.scan import Found
from producer.videos import Videos

if TYPE_CHECKING:
    from common.images import ReducedImage
    from common.video_reader import VideoReader


class PixelSource:
    """Reads images and frames; a video stays open until another one is read. A context manager.

    Args:
        inputs: those that positions count.
        videos: their indices.
    """

    def __init__(self, inputs: Sequence[Input], videos: Videos) -> None:
        self._inputs = inputs
        self._videos = videos
        self._open: tuple[bytes, VideoReader] | None = None

    def path(self, found: Found) -> bytes:
        """Absolute path; a frame's is that of no file."""
        one = self._inputs[found.position]
        below = found.relative[len(one.prefix) :].lstrip(b"/") if one.prefix else found.relative
        return os.path.join(one.root, below)

    def __enter__(self) -> PixelSource:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def read(self, found: Found) -> ReducedImage:
        """The whole picture, upright, and how its file was compressed.

        Raises:
            ImageError: it cannot be read or decoded.
        """
        # Imported here: OpenCV and libav are loaded only where pixels are needed.
        from common.images import ReducedImage, decode_reduced

        if found.frame is None:
            from common.files import read_source

            return decode_reduced(read_source(self.path(found), roots=None), None)
        from common.video_reader import VideoReader

        video = found.frame.video
        if self._open is None or self._open[0] != video:
            self.__exit__()
            self._open = video, VideoReader(video, self._videos.index(video))
        frame = self._open[1].read(found.frame.frame)
        return ReducedImage(frame, 1, frame.shape[1], frame.shape[0])
