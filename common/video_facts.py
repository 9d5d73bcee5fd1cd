"""What there is to know of a video before it is used: counts, rate, keyframes, duration."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from common.video import Video
from common.video_index import VideoIndex
from common.video_scan import index_video

_STEADY = 0.02
"""Frames whose distances differ by less than this share of their median stand in a constant rate; containers
with a clock of milliseconds round 33.37 to 33 and 34."""


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """A video at a glance.

    Attributes:
        codec: libav's name of it.
        width: pixels, as stored, before the picture is turned upright.
        height: likewise.
        frames: how many there are.
        is_accurate: counted by decoding all of them.
        packets: the fast count.
        in_header: what the container's header promises; None where it says nothing.
        keyframes: those that decoding can begin with.
        is_seekable: a frame is reached from the keyframe before it; else it is decoded from the start.
        by_packet: the keyframe is reached by counting packets, since times do not lead to it.
        fps: frames a second, on average; None where the timestamps do not tell.
        duration_s: seconds from the first frame to the end of the last; None likewise.
        is_variable: the distances of frames vary; None likewise.
    """

    codec: str
    width: int
    height: int
    frames: int
    is_accurate: bool
    packets: int
    in_header: int | None
    keyframes: int
    is_seekable: bool
    by_packet: bool
    fps: float | None
    duration_s: float | None
    is_variable: bool | None

    @property
    def fast_is_accurate(self) -> bool | None:
        """The fast count is the accurate one; None where not all frames were decoded."""
        return self.packets == self.frames if self.is_accurate else None


def video_facts(path: bytes, *, accurate: bool = False) -> VideoFacts:
    """Index a video and sum it up; arguments and errors are those of `index_video`."""
    index = index_video(path, accurate=accurate)
    video = Video(path)
    try:
        stream = video.stream
        fps, duration_s, is_variable = _times(index, stream.time_base)
        if duration_s is None and video.container.duration:
            duration_s = video.container.duration / 1e6
        return VideoFacts(
            codec=stream.codec_context.name,
            width=stream.codec_context.width,
            height=stream.codec_context.height,
            frames=index.frames,
            is_accurate=index.is_accurate,
            packets=index.packets,
            in_header=stream.frames or None,
            keyframes=len(index.keys),
            is_seekable=index.is_seekable,
            by_packet=index.by_packet,
            fps=fps,
            duration_s=duration_s,
            is_variable=is_variable,
        )
    finally:
        video.close()


def _times(index: VideoIndex, time_base: Fraction | None) -> tuple[float | None, float | None, bool | None]:
    """(frames a second, seconds, variable) out of the timestamps; the last frame lasts as long as the median."""
    if time_base is None or len(index.pts) < 2 or index.by_packet:
        return None, None, None
    distances = np.diff(index.pts)
    median = float(np.median(distances))
    ticks = float(index.pts[-1] - index.pts[0]) + median
    seconds = ticks * float(time_base)
    spread = float(np.abs(distances - median).max())
    return index.frames / seconds, seconds, spread > max(1.0, _STEADY * median)
