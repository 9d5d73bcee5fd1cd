"""Frames by their index equal frames in sequence, in every container and whatever was read before."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import ImageError
from common.video_index import VideoIndex
from common.video_reader import VideoReader
from common.video_scan import index_video
from tests.videos import Pixels, copy_packets, in_sequence, number_of, numbered, write_video

FRAMES = 50
H264: dict[str, Any] = {"g": "12", "bf": "3", "threads": "1"}
OPEN_GOP = {**H264, "x264-params": "open-gop=1:scenecut=0:b-adapt=0:threads=1"}
OLD: dict[str, Any] = {"b_frames": 2, "gop": 12}


def pictures() -> list[Pixels]:
    return [numbered(k) for k in range(FRAMES)]


def vfr() -> list[int]:
    return [k * 40 + k % 7 * 5 + (k > 30) * 700 for k in range(FRAMES)]


def flagged(folder: Path, flags: int) -> Path:
    """An AVI whose table gives every frame the same flags; 16 marks a keyframe. WMV2 itself says nothing."""
    path = write_video(folder / "v.avi", pictures(), codec="wmv2", gop=12)
    data = bytearray(path.read_bytes())
    for at in range(data.index(b"idx1") + 8, len(data) - 15, 16):
        data[at + 4 : at + 8] = flags.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def shifted(folder: Path, ending: str, by: int) -> Path:
    """Every time moved by so many ticks."""
    source = write_video(folder / "source.mp4", pictures(), **H264)

    def move(_: int, packet: Any) -> None:
        packet.pts, packet.dts = packet.pts + by, packet.dts + by

    return copy_packets(source, folder / f"v{ending}", move, avoid_negative_ts="disabled")


Maker = Callable[[Path], Path]
SEEKABLE: dict[str, Maker] = {
    "h264 mp4": lambda f: write_video(f / "v.mp4", pictures(), **H264),
    "h264 mkv": lambda f: write_video(f / "v.mkv", pictures(), **H264),
    "h264 ts": lambda f: write_video(f / "v.ts", pictures(), **H264),
    "h264 flv": lambda f: write_video(f / "v.flv", pictures(), **H264),
    "h264 mov": lambda f: write_video(f / "v.mov", pictures(), **H264),
    "open gop mp4": lambda f: write_video(f / "v.mp4", pictures(), **OPEN_GOP),
    "open gop mkv": lambda f: write_video(f / "v.mkv", pictures(), **OPEN_GOP),
    "open gop ts": lambda f: write_video(f / "v.ts", pictures(), **OPEN_GOP),
    "variable rate mp4": lambda f: write_video(f / "v.mp4", pictures(), pts_ms=vfr(), **H264),
    "variable rate mkv": lambda f: write_video(f / "v.mkv", pictures(), pts_ms=vfr(), **H264),
    "mpeg4 avi": lambda f: write_video(f / "v.avi", pictures(), codec="mpeg4", **OLD),
    "mpeg2 ts": lambda f: write_video(f / "v.ts", pictures(), codec="mpeg2video", **OLD),
    "wmv": lambda f: write_video(f / "v.wmv", pictures(), codec="wmv2", gop=12),
    "negative times": lambda f: shifted(f, ".ts", -12800),
    "late times": lambda f: shifted(f, ".mkv", 12800 * 3600),
}
BY_PACKET: dict[str, Maker] = {
    # MPEG program streams have a time for some packets only: what is read after a seek has others.
    "mpeg2 ps": lambda f: write_video(f / "v.mpg", pictures(), codec="mpeg2video", **OLD),
    "times missing": lambda f: write_video(f / "v.avi", pictures(), **H264),
    "times twice": lambda f: write_video(f / "v.mkv", pictures(), rate=2000, **H264),
    "times before zero": lambda f: shifted(f, ".mkv", -12800),
}
FROM_THE_START: dict[str, Maker] = {
    "no keyframe but the first": lambda f: write_video(
        f / "v.ts", pictures(), **{"x264-params": "intra-refresh=1:keyint=20:threads=1"}
    ),
    "all flagged as keyframes": lambda f: flagged(f, 16),
}
EITHER: dict[str, Maker] = {
    "vp8": lambda f: write_video(
        f / "v.webm", pictures(), codec="libvpx", **{"auto-alt-ref": "1", "lag-in-frames": "16", "g": "12"}
    ),
    "vp9": lambda f: write_video(f / "v.webm", pictures(), codec="libvpx-vp9", g="12"),
    "none flagged as keyframe": lambda f: flagged(f, 0),
    "two frames": lambda f: write_video(f / "v.mp4", pictures()[:2], **H264),
    "one frame": lambda f: write_video(f / "v.mp4", pictures()[:1], **H264),
}


def check_frames(path: Path) -> VideoIndex:
    """Every frame is the right one, in any order and from any beginning; returns the index."""
    index = index_video(bytes(path))
    truth = [pixels for _, pixels, _ in in_sequence(path)]
    assert index.frames == len(truth)
    reader = VideoReader(bytes(path), index)
    order = [*range(index.frames), *random.Random(7).sample(range(index.frames), index.frames)]
    for frame in order:
        found = reader.read(frame)
        assert np.array_equal(found, truth[frame]), f"frame {frame} shows {number_of(found)}"
    reader.close()
    for first in range(0, index.frames, 7):
        reader = VideoReader(bytes(path), index)
        for frame in range(first, min(first + 3, index.frames)):
            assert np.array_equal(reader.read(frame), truth[frame]), f"from {first}: {frame}"
        reader.close()
    return index


@pytest.mark.parametrize("kind", SEEKABLE)
def test_a_frame_is_reached_from_the_keyframe_before_it(kind: str, tmp_path: Path) -> None:
    path = SEEKABLE[kind](tmp_path)
    index = check_frames(path)
    assert index.frames == FRAMES
    assert index.is_seekable
    assert len(index.keys) >= 4
    assert [number_of(pixels) for _, pixels, _ in in_sequence(path)] == list(range(FRAMES))


def test_frames_that_an_edit_list_leaves_out_are_none(tmp_path: Path) -> None:
    path = shifted(tmp_path, ".mp4", -12800)  # 25 frames before time zero
    assert check_frames(path).frames == 25
    assert [number_of(pixels) for _, pixels, _ in in_sequence(path)] == list(range(25, 50))


@pytest.mark.parametrize("kind", BY_PACKET)
def test_where_times_do_not_tell_a_keyframe_is_reached_by_counting_packets(kind: str, tmp_path: Path) -> None:
    index = check_frames(BY_PACKET[kind](tmp_path))
    assert index.frames == FRAMES
    assert index.is_accurate
    assert index.by_packet
    assert len(index.keys) >= 4


@pytest.mark.parametrize("kind", FROM_THE_START)
def test_what_cannot_be_sought_in_is_read_from_its_start(kind: str, tmp_path: Path) -> None:
    index = check_frames(FROM_THE_START[kind](tmp_path))
    assert index.frames == FRAMES
    assert index.is_accurate
    assert not index.is_seekable


@pytest.mark.parametrize("kind", EITHER)
def test_other_videos_give_their_frames_too(kind: str, tmp_path: Path) -> None:
    check_frames(EITHER[kind](tmp_path))


def cut(path: Path, share: float = 0.7) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def torn(path: Path, seed: int) -> Path:
    """Random bytes in the middle."""
    data = bytearray(path.read_bytes())
    at = len(data) * 4 // 10
    data[at : at + 200] = random.Random(seed).randbytes(200)
    path.write_bytes(data)
    return path


def fast_start(folder: Path) -> Path:
    """An MP4 whose table of contents stands in front, so that it survives a cut."""
    source = write_video(folder / "source.mp4", pictures(), **H264)
    return copy_packets(source, folder / "v.mp4", movflags="faststart")


DAMAGED: dict[str, Maker] = {
    "cut mp4": lambda f: cut(fast_start(f)),
    "cut mkv": lambda f: cut(write_video(f / "v.mkv", pictures(), **H264)),
    "cut ts": lambda f: cut(write_video(f / "v.ts", pictures(), **OPEN_GOP)),
    "cut flv": lambda f: cut(write_video(f / "v.flv", pictures(), **H264)),
    "cut avi": lambda f: cut(write_video(f / "v.avi", pictures(), codec="mpeg4", **OLD)),
    "cut mpg": lambda f: cut(write_video(f / "v.mpg", pictures(), codec="mpeg2video", **OLD)),
    "torn mp4": lambda f: torn(fast_start(f), 1),
    "torn mkv": lambda f: torn(write_video(f / "v.mkv", pictures(), **H264), 2),
    "torn ts": lambda f: torn(write_video(f / "v.ts", pictures(), **H264), 3),
    "torn mpeg2": lambda f: torn(write_video(f / "v.ts", pictures(), codec="mpeg2video", **OLD), 4),
    "torn mpeg4": lambda f: torn(write_video(f / "v.mp4", pictures(), codec="mpeg4", **OLD), 5),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_frames_fail_and_all_others_equal_those_in_sequence(kind: str, tmp_path: Path) -> None:
    path = DAMAGED[kind](tmp_path)
    index = index_video(bytes(path))
    sequence = in_sequence(path)
    sound = [pixels for _, pixels, is_damaged in sequence if not is_damaged]

    def read(frames: list[int]) -> dict[int, Pixels | str]:
        reader = VideoReader(bytes(path), index)
        found: dict[int, Pixels | str] = {}
        for frame in frames:
            try:
                found[frame] = reader.read(frame)
            except ImageError as exc:
                found[frame] = exc.code
        reader.close()
        return found

    everything = list(range(index.frames))
    whole = read(everything)
    decoded = [whole[frame] for frame in everything if not isinstance(whole[frame], str)]
    assert {code for code in whole.values() if isinstance(code, str)} <= {"undecodable"}
    assert len(decoded) == len(sound)
    assert len(decoded) > 5
    assert all(np.array_equal(one, other) for one, other in zip(decoded, sound, strict=True))
    for first in range(0, index.frames, 9):
        part = read(everything[first : first + 9])
        assert all(np.array_equal(part[frame], whole[frame]) for frame in part), first
    mixed = read(random.Random(3).sample(everything, len(everything)))
    assert all(np.array_equal(mixed[frame], whole[frame]) for frame in everything)


def test_frames_that_do_not_exist_have_vanished(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", pictures()[:5], **H264)
    reader = VideoReader(bytes(path), index_video(bytes(path)))
    for frame in (-1, 5):
        with pytest.raises(ImageError) as caught:
            reader.read(frame)
        assert caught.value.code == "vanished"
    reader.close()


def test_a_file_that_is_not_the_indexed_one_has_changed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", pictures()[:5], **H264)
    index = index_video(bytes(path))
    write_video(path, pictures()[:6], **H264)
    with pytest.raises(ImageError) as caught:
        VideoReader(bytes(path), index)
    assert caught.value.code == "changed"
