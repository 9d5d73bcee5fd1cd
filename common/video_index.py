"""The index of a video: which frames it has, and from where each can be decoded; `common.video_scan` makes it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from common.video import Video

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True)
class VideoIndex:
    """What one scan of a container told.

    Attributes:
        frames: how many there are; frame k is the k-th in the order of presentation, from 0.
        packets: the fast count.
        is_accurate: the frames were counted by decoding all of them.
        pts: (frames,) what each frame is known by: strictly increasing timestamps in the stream's time base,
            or `by_packet`; empty where nothing is: such a video is decoded from its start.
        keys: (n,) the frames that decoding can begin with; 0 is always the first.
        key_dts: (n,) when each of them is decoded, or the place of its packet.
        size: bytes of the file when it was scanned.
        mtime_ns: time of its last change then.
        by_packet: `pts` are places of packets in the file, from 0, in the order of presentation.
        missing: how many frames of the container's table lie beyond the end of the file: it was cut.
    """

    frames: int
    packets: int
    is_accurate: bool
    pts: Int64Array
    keys: Int64Array
    key_dts: Int64Array
    size: int = 0
    mtime_ns: int = 0
    by_packet: bool = False
    missing: int = 0

    @property
    def is_seekable(self) -> bool:
        """A frame can be reached from the keyframe before it."""
        return len(self.pts) > 0

    def key_of(self, frame: int) -> int:
        """The place in `keys` of the last keyframe at or before a frame."""
        return int(np.searchsorted(self.keys, frame, side="right")) - 1

    def number_of(self, pts: int | None) -> int | None:
        """The frame that is known by a timestamp or place; None where there is none."""
        if pts is None or pts < self.pts[self._order[0]] or pts > self.pts[self._order[-1]]:
            return None
        number = int(self._order[np.searchsorted(self.pts, pts, sorter=self._order)])
        return number if self.pts[number] == pts else None

    @cached_property
    def _order(self) -> Int64Array:
        return np.argsort(self.pts)

    def packets_from(self, video: Video, place: int) -> Iterator[Any] | None:
        """The packets of a video from a keyframe or an earlier one on; None where it is not reached."""
        key, target = int(self.pts[self.keys[place]]), int(self.key_dts[place])
        if self.by_packet:
            return video.numbered_packets(target)
        return video.packets_from_key((key, target), key)

    def packets_from_start(self, video: Video) -> Iterator[Any]:
        """All packets of a video that was just opened."""
        numbered = video.numbered_packets() if self.by_packet else None
        return video.packets() if numbered is None else numbered

    def pack(self) -> bytes:
        """The arrays as bytes: the differences of the numbers as int64, little-endian, zlib."""
        arrays = (self.pts, self.keys, self.key_dts)
        lengths = np.array([self.by_packet, *(len(one) for one in arrays)], "<i8")
        differences = [np.diff(one, prepend=np.int64(0)).astype("<i8") for one in arrays]
        return zlib.compress(b"".join(one.tobytes() for one in (lengths, *differences)))

    @classmethod
    def unpack(
        cls, arrays: bytes, *, frames: int, packets: int, is_accurate: bool, size: int, mtime_ns: int
    ) -> VideoIndex:
        """The index whose arrays `pack` wrote."""
        numbers = np.frombuffer(zlib.decompress(arrays), "<i8").astype(np.int64)
        pts, keys, key_dts = (np.cumsum(one) for one in np.split(numbers[4:], np.cumsum(numbers[1:3])))
        return cls(frames, packets, is_accurate, pts, keys, key_dts, size, mtime_ns, bool(numbers[0]))
