"""One open video: its packets and its frames, decoded in order.

Decoded by libav (PyAV) in one thread: the workers are the parallel part, and what is made of damaged data
should not depend on threads. Only containers are opened, never playlists: their lines could
name any file. Interlaced frames stay woven, high dynamic range is not tone-mapped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import av
from av.error import FFmpegError

from common.errors import ImageError, UsageError
from common.escaping import escape
from common.files import open_source
from common.image_header import MAX_PIXELS

_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,asf,mpeg,mpegts,mpegvideo"
_BUFFER_BYTES = 1 << 18
_DRAINS = 64
"""Errors that a decoder may report while its last frames are fetched."""

# What libav says of a damaged stream becomes a row with a sentence, not lines on stderr.
av.logging.set_libav_level(av.logging.PANIC)


class NotAVideo(UsageError):
    """A file that cannot be opened as a video, or has no pictures that can be decoded."""


class Video:
    """A container with its first video stream, read from the start or from where it was sought to.

    Args:
        path: any bytes.
        roots: real folders that the file must lie in; None for no such limit.
        expect: (size in bytes, mtime in ns) when it was planned.

    Raises:
        NotAVideo: it is none.
        ImageError: it cannot be read; see `common.files.read_source`.
    """

    def __init__(
        self, path: bytes, *, roots: Sequence[bytes] | None = None, expect: tuple[int, int] | None = None
    ) -> None:
        self.path = path
        self._numbered: Iterator[av.Packet[Any]] | None = None
        self._passed = 0
        descriptor, self.status = open_source(path, roots=roots, expect=expect)
        # Read through our own file: libav follows no link and opens no second file.
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        try:
            self.container = av.open(
                self._file,
                "r",
                options={"format_whitelist": _DEMUXERS, "protocol_whitelist": ""},
                buffer_size=_BUFFER_BYTES,
                metadata_errors="replace",
            )
        except (FFmpegError, ValueError) as exc:
            self._file.close()
            raise NotAVideo(f"{escape(path)} cannot be opened as a video ({_sentence(exc)})") from exc
        try:
            self.stream = _first_video_stream(self.container, path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close container and file."""
        self.container.close()
        self._file.close()

    def packets(self) -> Iterator[av.Packet[Any]]:
        """The packets of the stream from here on, the empty one that fetches what is left at the end.

        A container that breaks off ends there.
        """
        try:
            yield from self.container.demux(self.stream)
        except FFmpegError:
            packet: av.Packet[Any] = av.Packet()
            packet.stream = self.stream
            yield packet

    def frames(
        self, packets: Iterator[av.Packet[Any]], on_error: Callable[[av.Packet[Any]], None] | None = None
    ) -> Iterator[av.VideoFrame]:
        """The frames that the packets give, in the order of presentation; broken packets are left out.

        Args:
            on_error: told each packet that could not be decoded.
        """
        context = self.stream.codec_context
        for packet in packets:
            is_last = packet.size == 0 and packet.pts is None and packet.dts is None
            for _ in range(_DRAINS if is_last else 1):
                try:
                    yield from context.decode(None if is_last else packet)
                    break
                except (FFmpegError, EOFError):
                    if on_error is not None:
                        on_error(packet)

    def numbered_packets(self, first: int = 0) -> Iterator[av.Packet[Any]] | None:
        """The packets from a keyframe on, with their place in the file instead of their time; None behind it.

        For containers that cannot be sought in: what lies before is read, which is fast, and not decoded.

        Args:
            first: the place of the keyframe, from 0.
        """
        if self._numbered is None:
            self._numbered = self._number(self.packets())
        if self._passed > first:
            return None
        self.stream.codec_context.flush_buffers()
        found = next((one for one in self._numbered if not one.size or (one.pts or 0) >= first), None)
        return None if found is None else chain([found], self._numbered)

    def _number(self, packets: Iterator[av.Packet[Any]]) -> Iterator[av.Packet[Any]]:
        for number, packet in enumerate(packets):
            self._passed = number + 1
            if packet.size:
                packet.pts, packet.dts = number, None
            yield packet

    def packets_from_key(self, timestamps: Iterable[int], latest: int) -> Iterator[av.Packet[Any]] | None:
        """The packets from a keyframe on, which is presented at `latest` or before; None where none is reached.

        Args:
            timestamps: where to seek to, in the stream's time base, one after the other: containers differ
                in whether they mean the time of decoding or of presentation.
        """
        for timestamp in timestamps:
            try:
                self.container.seek(timestamp, stream=self.stream, backward=True)
            except FFmpegError:
                continue
            packets = self.packets()
            first = next((packet for packet in packets if packet.is_keyframe or not packet.size), None)
            if first is not None and first.pts is not None and first.pts <= latest:
                return chain([first], packets)
        return None


def _first_video_stream(container: Any, path: bytes) -> Any:
    # A cover picture of a music file is a video stream too.
    streams = [one for one in container.streams.video if not int(one.disposition) & _ATTACHED_PICTURE]
    if not streams:
        raise NotAVideo(f"{escape(path)} has no video stream")
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise NotAVideo(f"{escape(path)} has a video stream of a kind that cannot be decoded")
    if context.width * context.height > MAX_PIXELS:
        raise ImageError(
            "too-large", f"a frame may have {MAX_PIXELS} pixels, got {context.width} x {context.height}"
        )
    context.thread_type = "NONE"
    context.thread_count = 1
    return stream


_ATTACHED_PICTURE = int(av.stream.Disposition.attached_pic)


def _sentence(exc: Exception) -> str:
    return str(getattr(exc, "strerror", None) or exc)
