"""What is opened as a video, its pixels, its index and its facts."""

from __future__ import annotations

import struct
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from common.errors import ImageError
from common.video import NotAVideo, Video
from common.video_facts import video_facts
from common.video_index import VideoIndex
from common.video_reader import VideoReader
from common.video_scan import index_video
from tests.videos import Pixels, in_sequence, numbered, write_video


def read(path: Path, frame: int = 0) -> Pixels:
    reader = VideoReader(bytes(path), index_video(bytes(path)))
    try:
        return reader.read(frame)
    finally:
        reader.close()


def colours() -> Pixels:
    """RGB, 64 x 48: red, green above blue, white."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[:24, 32:] = (230, 20, 20), (20, 230, 20)
    picture[24:, :32], picture[24:, 32:] = (20, 20, 230), (235, 235, 235)
    return picture


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix (a, b, c, d) into the track header of an MP4 (ISO 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: 4 + 20 + 8 + 8 bytes stand before the matrix
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),  # a telephone held upright: a quarter clockwise
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    ],
)
def test_frames_are_turned_upright(tmp_path: Path, matrix: tuple[int, ...], expected: object) -> None:
    path = write_video(tmp_path / "v.mp4", [colours()], crf="1")
    wanted = expected(in_sequence(path)[0][1])  # type: ignore[operator]
    found = read(turned(path, matrix))  # type: ignore[arg-type]
    assert found.flags.c_contiguous
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("10 bits.mkv", "libx264", "yuv420p10le"),
        ("12 bits.mov", "prores_ks", "yuv444p10le"),
        ("4:4:4.mkv", "libx264", "yuv444p"),
        ("full range.avi", "mjpeg", "yuvj420p"),
        ("grey.mkv", "ffv1", "gray"),
        ("rgb.mkv", "ffv1", "bgr0"),
    ],
)
def test_every_kind_of_pixels_comes_out_blue_green_red(
    tmp_path: Path, name: str, codec: str, pixel_format: str
) -> None:
    path = write_video(tmp_path / name, [colours()], codec=codec, pixel_format=pixel_format)
    found = read(path)
    assert (found.shape, found.dtype) == ((48, 64, 3), np.uint8)
    for y, x in ((10, 10), (10, 50), (40, 10), (40, 50)):
        wanted = colours()[y, x, ::-1].astype(int)
        if pixel_format == "gray":  # ITU-R BT.601 luma
            wanted = np.full(3, round(float(np.dot(wanted, (0.114, 0.587, 0.299)))))
        assert np.abs(found[y, x].astype(int) - wanted).max() <= 12, (y, x, found[y, x])


@pytest.mark.parametrize("size_wh", [(97, 65), (101, 64), (96, 33)])
def test_odd_sizes_are_kept(tmp_path: Path, size_wh: tuple[int, int]) -> None:
    path = write_video(tmp_path / "v.avi", [numbered(0, size_wh)], codec="mpeg4")
    assert read(path).shape == (size_wh[1], size_wh[0], 3)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[:, :16] = (0, 0, 200, 255)
    path = write_video(tmp_path / "v.mov", [picture], codec="qtrle", pixel_format="argb", frame_format="rgba")
    found = read(path)
    assert found[5, 5].tolist() == [200, 0, 0]
    assert found[5, 25].tolist() == [255, 255, 255]


def test_an_all_black_frame_is_a_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3)
    assert index_video(bytes(path)).frames == 3
    assert read(path, 1).max() <= 1


def test_interlaced_frames_stay_woven(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "v.ts", [numbered(k) for k in range(6)], codec="mpeg2video", flags="+ildct+ilme"
    )
    index = index_video(bytes(path))
    assert index.frames == 6
    assert np.array_equal(read(path, 3), in_sequence(path)[3][1])


def test_libav_gets_one_thread(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", [numbered(0)])
    video = Video(bytes(path))
    assert next(iter(video.frames(video.packets()))) is not None
    assert video.stream.codec_context.thread_count == 1
    video.close()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.mp4", b"hello"),
        ("playlist.ts", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n"),
        ("concat.mkv", b"ffconcat version 1.0\nfile other.ts\n"),
    ],
)
def test_what_is_no_container_is_no_video(tmp_path: Path, name: str, content: bytes) -> None:
    write_video(tmp_path / "other.ts", [numbered(0)])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotAVideo, match=name):
        index_video(bytes(tmp_path / name))


def test_a_file_without_pictures_is_no_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", [numbered(0)])
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_UNKNOWN/NAME/"))
    with pytest.raises(NotAVideo):
        index_video(bytes(path))


@pytest.mark.parametrize(("content", "code"), [(b"", "empty"), (None, "vanished")])
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, content: bytes | None, code: str) -> None:
    if content is not None:
        (tmp_path / "v.mp4").write_bytes(content)
    with pytest.raises(ImageError) as caught:
        index_video(bytes(tmp_path / "v.mp4"))
    assert caught.value.code == code


def test_a_name_need_not_be_text(tmp_path: Path) -> None:
    path = bytes(tmp_path) + b"/caf\xe9\n.mp4"
    write_video(tmp_path / "v.mp4", [numbered(0)]).rename(path.decode("utf-8", "surrogateescape"))
    assert index_video(path).frames == 1


@pytest.mark.parametrize("name", ["v.mp4", "v.mpg"])
def test_an_index_is_the_same_after_it_was_stored(tmp_path: Path, name: str) -> None:
    codec = "libx264" if name == "v.mp4" else "mpeg2video"
    path = write_video(tmp_path / name, [numbered(k) for k in range(40)], codec=codec, gop=12, b_frames=2)
    index = index_video(bytes(path))
    stored = VideoIndex.unpack(
        index.pack(),
        frames=index.frames,
        packets=index.packets,
        is_accurate=index.is_accurate,
        size=index.size,
        mtime_ns=index.mtime_ns,
    )
    for field in fields(VideoIndex):
        assert np.array_equal(getattr(stored, field.name), getattr(index, field.name)), field.name
    assert (index.size, index.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)


def test_the_index_of_a_long_video_is_small() -> None:
    frames = np.arange(108_000, dtype=np.int64)  # an hour at 30 frames a second
    index = VideoIndex(len(frames), len(frames), False, frames * 512, frames[::250], frames[::250] * 512)
    assert len(index.pack()) < 5000


def test_facts_of_a_constant_and_of_a_variable_rate(tmp_path: Path) -> None:
    pictures = [numbered(k) for k in range(30)]
    ntsc = write_video(tmp_path / "v.mkv", pictures, rate=Fraction(30000, 1001), g="10", bf="2")
    facts = video_facts(bytes(ntsc))
    assert (facts.frames, facts.packets, facts.is_variable) == (30, 30, False)
    assert facts.fps == pytest.approx(29.97, abs=0.05)
    assert facts.duration_s == pytest.approx(30 / 29.97, abs=0.01)
    assert (facts.is_accurate, facts.fast_is_accurate) == (False, None)
    accurate = video_facts(bytes(ntsc), accurate=True)
    assert (accurate.is_accurate, accurate.fast_is_accurate) == (True, True)
    times = [k * 40 + (k > 15) * 500 for k in range(30)]
    variable = video_facts(bytes(write_video(tmp_path / "w.mkv", pictures, pts_ms=times, g="10")))
    assert variable.is_variable
    assert variable.duration_s == pytest.approx(1.7, abs=0.01)  # 29 * 40 ms + 500 ms, and the last 40 ms


def test_a_fast_count_that_is_off_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", [numbered(k) for k in range(30)], g="10", bf="2")
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"\xa3") - 3])  # a SimpleBlock is cut in two
    facts = video_facts(bytes(path), accurate=True)
    assert facts.frames == len(in_sequence(path))
