"""Videos made for tests: every frame carries its number as a bar code. Truth is PyAV decoding in sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

_BITS = 8
_BAR = 12


def numbered(number: int, size_wh: tuple[int, int] = (96, 64)) -> Pixels:
    """(H, W, 3) RGB: something that moves, and the number in black and white bars along the bottom."""
    width, height = size_wh
    picture = np.full((height, width, 3), (60, 90, 120), np.uint8)
    left = number * 3 % (width - 12)
    picture[8:28, left : left + 12] = (220, 40, 60)
    for bit in range(_BITS):
        picture[-12:, bit * _BAR : (bit + 1) * _BAR] = 255 if number >> bit & 1 else 0
    return picture


def number_of(image: Pixels) -> int:
    """The number that the bars of a picture show."""
    middles = [image[-6, bit * _BAR + _BAR // 2].mean() for bit in range(_BITS)]
    return sum(1 << bit for bit, level in enumerate(middles) if level > 127)


def write_video(
    path: Path,
    pictures: Iterable[Pixels | Image.Image],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: Fraction | int = 25,
    pts_ms: Sequence[int] | None = None,
    b_frames: int | None = None,
    gop: int | None = None,
    container_options: dict[str, str] | None = None,
    frame_format: str = "rgb24",
    **options: str,
) -> Path:
    """Encode pictures; `pts_ms` are their times, where they are not those of the rate."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = None
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format=frame_format)
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixel_format
                context = stream.codec_context
                context.thread_count = 1
                if b_frames is not None:
                    context.max_b_frames = b_frames
                if gop is not None:
                    context.gop_size = gop
                if pts_ms is not None:
                    stream.time_base = context.time_base = Fraction(1, 1000)
            if pts_ms is not None:
                frame.pts, frame.time_base = pts_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def copy_packets(
    source: Path, target: Path, change: Callable[[int, Any], None] = lambda _n, _p: None, **options: str
) -> Path:
    """Copy the packets into another container, each changed on the way."""
    with av.open(str(source)) as given, av.open(str(target), "w", options=options) as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(given.demux(given.streams.video[0])):
            if packet.dts is None and not packet.size:
                continue
            packet.stream = stream
            change(number, packet)
            made.mux(packet)
    return target


def in_sequence(path: Path) -> list[tuple[int | None, Pixels, bool]]:
    """(timestamp, BGR pixels, damaged) of every frame, decoded from the first to the last."""
    frames = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return frames
                for frame in packet.decode():
                    frames.append((frame.pts, frame.to_ndarray(format="bgr24"), frame.is_corrupt))
            except av.error.FFmpegError:
                continue
