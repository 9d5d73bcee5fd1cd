"""Scans a video: packets tell its index without decoding, where they can be believed.

Then frame k is the k-th presentation timestamp. A short trial compares that with what is decoded, from the
start and behind two keyframes that are sought to. What does not agree is decoded once, from the first frame
to the last; then frames are known by the place of their packets in the file, where their times are missing,
doubled or other after a seek.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from common.escaping import escape
from common.frame_pixels import to_bgr
from common.video import NotAVideo, Video
from common.video_index import VideoIndex

_TRIED = 8
"""Frames compared at each place of the trial."""
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class _Packet:
    pts: int | None
    dts: int | None
    is_key: bool
    place: int


def index_video(path: bytes, *, accurate: bool = False) -> VideoIndex:
    """Scan a video.

    Args:
        accurate: count its frames by decoding all of them, also where the packets could be believed.

    Raises:
        NotAVideo: it cannot be opened, or no frame in it can be decoded.
        ImageError: the file cannot be read.
    """
    packets, missing, status = _packets_of(path)
    index = _scan(path, packets, accurate=accurate)
    return replace(index, size=status.st_size, mtime_ns=status.st_mtime_ns, missing=missing)


def _scan(path: bytes, packets: Sequence[_Packet], *, accurate: bool) -> VideoIndex:
    index = None if accurate else _from_packets(packets)
    if index is not None and _agrees(path, index):
        return index
    decoded = _decoded_places(path)
    if not decoded:
        raise NotAVideo(f"{escape(path)} has no frame that can be decoded")
    plain = VideoIndex(len(decoded), len(packets), True, _NONE, np.zeros(1, np.int64), _NONE)
    for candidate in (_by_time(plain, decoded, packets), _by_place(plain, decoded, packets)):
        if candidate is not None and _agrees(path, candidate):
            return candidate
    return plain


def _by_time(
    plain: VideoIndex, decoded: Sequence[int | None], packets: Sequence[_Packet]
) -> VideoIndex | None:
    """Frames known by the times of their packets; None where those do not tell them apart."""
    times = {one.place: one.pts for one in packets}
    known = [time for place in decoded if place is not None and (time := times.get(place)) is not None]
    pts = np.array(known, np.int64)
    if len(known) < len(decoded) or (np.diff(pts) <= 0).any():
        return None
    return _with_keys(replace(plain, pts=pts), packets)


def _by_place(
    plain: VideoIndex, decoded: Sequence[int | None], packets: Sequence[_Packet]
) -> VideoIndex | None:
    """Frames known by the places of their packets; None where a packet has none or several."""
    known = [place for place in decoded if place is not None]
    if len(set(known)) < len(decoded):
        return None
    index = replace(plain, pts=np.array(known, np.int64), by_packet=True)
    return _with_keys(index, [_Packet(one.place, one.place, one.is_key, one.place) for one in packets])


def _packets_of(path: bytes) -> tuple[list[_Packet], int, os.stat_result]:
    """The packets that are shown, how many lie beyond the end of the file, and the state of the file."""
    video = Video(path)
    try:
        packets = [
            _Packet(packet.pts, packet.dts, packet.is_keyframe, place)
            for place, packet in enumerate(video.packets())
            if packet.size and not packet.is_discard
        ]
        size = video.status.st_size
        missing = sum(one.pos + one.size > size for one in video.stream.index_entries)
        return packets, missing, video.status
    finally:
        video.close()


def _from_packets(packets: Sequence[_Packet]) -> VideoIndex | None:
    """The index that the packets tell; None where they cannot be believed."""
    known = [one.pts for one in packets if one.pts is not None]
    pts = np.unique(np.array(known, np.int64))
    if not packets or len(pts) != len(packets) or not packets[0].is_key or known[0] != pts[0]:
        return None
    plain = VideoIndex(len(pts), len(packets), False, pts, np.zeros(1, np.int64), _NONE)
    index = _with_keys(plain, packets)
    return index if index.keys[0] == 0 else None


def _with_keys(index: VideoIndex, packets: Sequence[_Packet]) -> VideoIndex:
    """The index with the keyframes that stand in the file in the order of presentation."""
    frames = {pts: frame for frame, pts in enumerate(index.pts.tolist())}
    keys: list[int] = []
    targets: list[int] = []
    for packet in packets:
        if not packet.is_key or packet.pts is None or packet.pts not in frames:
            continue
        frame = frames[packet.pts]
        if not keys or frame > keys[-1]:
            keys.append(frame)
            targets.append(packet.pts if packet.dts is None else packet.dts)
    if not keys or keys[0] != 0:
        # Frames before the first keyframe are read from the start of the file.
        keys, targets = [0, *keys], [int(index.pts[0]), *targets]
    return replace(index, keys=np.array(keys, np.int64), key_dts=np.array(targets, np.int64))


def _decoded_places(path: bytes) -> list[int | None]:
    """For each frame, in sequence, the place in the file of the packet that it came out of."""
    video = Video(path)
    try:
        return [frame.pts for frame in video.frames(video.numbered_packets() or iter(()))]
    finally:
        video.close()


def _agrees(path: bytes, index: VideoIndex) -> bool:
    """A few frames decoded from the start, and behind two keyframes, are those that the index tells."""
    video = Video(path)
    try:
        first = islice(video.frames(index.packets_from_start(video)), _TRIED)
        if [frame.pts for frame in first] != index.pts[:_TRIED].tolist():
            return False
    finally:
        video.close()
    fit = [int(key) for key in index.keys[1:] if key + 2 * _TRIED <= index.frames]
    return all(_sought_is_equal(path, index, key) for key in {*fit[:1], *fit[len(fit) // 2 :][:1]})


def _sought_is_equal(path: bytes, index: VideoIndex, key: int) -> bool:
    """Frames decoded from a keyframe equal those decoded through it, from the keyframe before."""
    place = index.key_of(key)
    wanted = index.pts[key : key + _TRIED].tolist()

    def read(begin: int) -> dict[int | None, bytes]:
        video = Video(path)
        try:
            found = {}
            for frame in video.frames(index.packets_from(video, begin) or iter(())):
                if frame.pts in wanted:
                    found[frame.pts] = to_bgr(frame).tobytes()
                if frame.pts == wanted[-1]:
                    break
            return found
        finally:
            video.close()

    through = read(place - 1)
    return list(through) == wanted and read(place) == through
