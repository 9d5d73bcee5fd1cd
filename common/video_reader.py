"""Frames of a video by their index, decoded forward from the keyframe before, each once where asked in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import av
import numpy as np

from common.arrays import ImageBgr
from common.errors import ImageError
from common.escaping import escape
from common.frame_pixels import to_bgr
from common.video import NotAVideo, Video
from common.video_index import VideoIndex

_AHEAD = 24
"""So many frames are rather decoded and dropped than sought over."""


class VideoReader:
    """An open video that stays where it is between two calls; for one thread at a time.

    Whatever has been read before, frame k has the pixels that decoding from the first frame on gives it.

    Args:
        path: any bytes.
        index: of this file.
        roots: real folders that the file must lie in; None for no such limit.

    Raises:
        ImageError: the file cannot be read, or is not the one that was indexed.
    """

    def __init__(self, path: bytes, index: VideoIndex, *, roots: Sequence[bytes] | None = None) -> None:
        self._path = path
        self._index = index
        self._roots = roots
        self._video = self._open()
        self._frames: Iterator[tuple[int, av.VideoFrame]] = iter(())
        self._held: tuple[int, av.VideoFrame] | None = None
        self._after: int | None = None
        """The frame that was decoded last; None before the first and when the stream has ended."""
        self._has_begun_broken = False
        self._lost = range(0)
        """Frames that are known not to come: found once, a long damaged piece is not searched again."""
        self._last: tuple[int, av.VideoFrame] | None = None
        """The frame that was found last: another stage may ask for it at once."""

    def close(self) -> None:
        """Close the file."""
        self._video.close()

    def read(self, frame: int) -> ImageBgr:
        """The pixels of a frame: (H, W, 3) uint8, upright.

        Raises:
            ImageError: `undecodable`: its data are damaged or missing; `vanished`: there are fewer frames;
                or the file cannot be read.
        """
        if not 0 <= frame < self._index.frames:
            raise ImageError(
                "vanished", f"{escape(self._path)} has {self._index.frames} frames, asked is number {frame}"
            )
        if self._last is not None and self._last[0] == frame:
            return to_bgr(self._last[1])
        if frame not in self._lost:
            found = self._find(frame)
            if found is not None:
                self._last = frame, found
                return to_bgr(found)
        raise ImageError(
            "undecodable",
            f"frame {frame} of {escape(self._path)} must decode, got damaged or missing data",
        )

    def _find(self, frame: int) -> av.VideoFrame | None:
        if self._can_go_on_to(frame):
            found = self._forward_to(frame)
            if found is not None:
                return found
        for place in self._beginnings(frame):
            self._begin_at(place)
            found = self._forward_to(frame)
            if found is not None and not self._has_begun_broken:
                return found
        self._lost = range(frame, self._index.frames if self._after is None else self._after + 1)
        if self._has_begun_broken:
            self._after = None
        return None

    def _beginnings(self, frame: int) -> list[int | None]:
        """Keyframes to begin at, one after the other; None is the start of the file.

        The one before the last is tried too: where a keyframe itself is damaged, reading in sequence goes
        on from the frames before it.
        """
        if not self._index.is_seekable:
            return [None]
        place = self._index.key_of(frame)
        return [one if one > 0 else None for one in (place, place - 1) if one >= 0]

    def _can_go_on_to(self, frame: int) -> bool:
        if self._after is None or frame <= self._after:
            return False
        if not self._index.is_seekable:
            return True
        key = int(self._index.keys[self._index.key_of(frame)])
        return key <= self._after or frame - self._after <= _AHEAD

    def _forward_to(self, frame: int) -> av.VideoFrame | None:
        """Decode up to a frame; None where it does not come or is damaged."""
        while True:
            self._held = self._held or next(self._frames, None)
            if self._held is None:
                self._after = None
                return None
            number, found = self._held
            if number > frame:
                self._after = number - 1
                return None
            self._held = None
            self._after = number
            if number == frame:
                self._lost = range(0)
                return None if found.is_corrupt else found

    def _begin_at(self, place: int | None) -> None:
        """Go to a keyframe, by its place, or to the start of the file."""
        self._held, self._after, self._has_begun_broken = None, None, False
        if place is not None:
            packets = self._index.packets_from(self._video, place)
            if packets is None and self._index.by_packet:
                # It lies behind: the file is read again from its start.
                self._reopen()
                packets = self._index.packets_from(self._video, place)
            if packets is not None:
                first = next(packets)
                self._frames = self._numbered(chain([first], packets), first)
                return
            # It cannot be sought to: everything before it is decoded.
        self._reopen()
        self._frames = self._numbered(self._index.packets_from_start(self._video), None)

    def _reopen(self) -> None:
        self._video.close()
        self._video = self._open()

    def _numbered(self, packets: Iterator[Any], key: Any) -> Iterator[tuple[int, av.VideoFrame]]:
        """Frames with their numbers. Those presented before the keyframe would need what lies before it."""

        def note(packet: Any) -> None:
            self._has_begun_broken = self._has_begun_broken or packet is key

        frames = self._video.frames(packets, note)
        if not self._index.is_seekable:
            yield from enumerate(frames)
            return
        begin = self._number_at_or_after(key)
        for frame in frames:
            number = self._index.number_of(frame.pts)
            if number is None or number < begin:
                continue
            if key is not None and frame.pts == key.pts and frame.is_corrupt:
                note(key)
            yield number, frame

    def _number_at_or_after(self, key: Any) -> int:
        """The frame of a keyframe's packet, or the first one after it; 0 without one."""
        if key is None or key.pts is None:
            return 0
        known = self._index.number_of(key.pts)
        return int(np.searchsorted(self._index.pts, key.pts)) if known is None else known

    def _open(self) -> Video:
        try:
            return Video(self._path, roots=self._roots, expect=(self._index.size, self._index.mtime_ns))
        except NotAVideo as exc:
            raise ImageError("unreadable", str(exc)) from exc
