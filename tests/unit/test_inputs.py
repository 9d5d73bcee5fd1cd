"""The `--input` arguments: what each is, its root, its prefix."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import UsageError
from producer.inputs import Input, inside, read_inputs, with_prefixes


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A current folder with x/a.jpg, x/sub/b.jpg and y/a.jpg."""
    for name in ("x/a.jpg", "x/sub/b.jpg", "y/a.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return os.path.realpath(os.fsencode(tmp_path))


def test_a_folder_is_its_own_root(place: bytes) -> None:
    assert read_inputs(["x/"], None) == [Input("directory", b"x/", place + b"/x")]


def test_the_root_of_a_file_is_its_folder(place: bytes) -> None:
    assert read_inputs(["x/sub/b.jpg"], None) == [Input("file", b"x/sub/b.jpg", place + b"/x/sub")]


def test_a_video_is_the_folder_of_its_frames(place: bytes) -> None:
    Path("x/movie.MP4").touch()
    root = place + b"/x/movie.MP4"
    assert read_inputs(["x/movie.MP4", "./x/movie.MP4"], None) == [Input("video", b"x/movie.MP4", root)]
    assert len(read_inputs(["x", "x/movie.MP4"], None)) == 2
    Path("frames.txt").write_text("x/movie.MP4/movie_000003.png\n")
    assert read_inputs(["@frames.txt"], None) == [Input("list", b"frames.txt", root)]


def test_the_root_of_a_list_is_the_common_parent_of_its_lines(place: bytes) -> None:
    Path("list.txt").write_text("x/a.jpg\nx/sub/b.jpg\n")
    assert read_inputs(["@list.txt"], None) == [Input("list", b"list.txt", place + b"/x")]
    assert read_inputs(["@list.txt"], ".") == [Input("list", b"list.txt", place)]
    with pytest.raises(UsageError, match="--input-root"):
        read_inputs(["@list.txt"], "y")


def test_what_lies_inside_another_input_counts_once(place: bytes) -> None:
    kept = read_inputs(["x/sub", "x", "x/a.jpg", "./x", "y/a.jpg"], None)
    assert [one.given for one in kept] == [b"x", b"y/a.jpg"]


def test_what_a_folder_would_leave_out_counts_when_it_is_named(place: bytes) -> None:
    Path("x/.hidden").mkdir()
    Path("x/.hidden/c.jpg").touch()
    assert len(read_inputs(["x", "x/.hidden"], None)) == 2
    assert len(read_inputs(["x", "x/.hidden/c.jpg"], None)) == 2


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("gone", "gone"),
        ("x/gone.jpg", "x/gone.jpg"),
        ("notes.txt", "notes.txt"),
        ("@videos.txt", "movie.mp4; a video is an --input of its own"),
        ("@no_frame.txt", "movie.mp4/other_000001.png, gone.mp4/gone_000001.png"),
        ("@gone.txt", "@gone.txt"),
        ("@empty.txt", "empty"),
        ("@missing.txt", "gone1.jpg, gone2.jpg"),
        ("@unfit.txt", "notes.txt"),
        ("", ""),
    ],
)
def test_an_impossible_input_is_refused_in_one_sentence(place: bytes, given: str, named: str) -> None:
    for name in ("notes.txt", "movie.mp4", "empty.txt"):
        Path(name).touch()
    Path("missing.txt").write_text("gone1.jpg\nx/a.jpg\ngone2.jpg\n")
    Path("unfit.txt").write_text("x/a.jpg\nnotes.txt\n")
    Path("videos.txt").write_text("x/a.jpg\nmovie.mp4\n")
    Path("no_frame.txt").write_text(
        "movie.mp4/movie_000001.png\nmovie.mp4/other_000001.png\ngone.mp4/gone_000001.png\n"
    )
    with pytest.raises(UsageError) as caught:
        read_inputs([given], None)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_input_is_refused() -> None:
    with pytest.raises(UsageError):
        read_inputs([], None)


def prefixes(*roots: bytes) -> list[bytes]:
    return [one.prefix for one in with_prefixes([Input("directory", root, root) for root in roots])]


def test_the_prefix_is_the_last_name_of_the_root_or_more_where_those_are_equal() -> None:
    assert prefixes(b"/p/x", b"/p/y") == [b"x", b"y"]
    assert prefixes(b"/p/one/x", b"/p/two/x") == [b"one/x", b"two/x"]
    assert prefixes(b"/x", b"/p/x") == [b"x", b"p/x"]


def test_a_prefix_stands_before_the_relative_path() -> None:
    assert Input("directory", b"x", b"/x").place(b"a/b.jpg") == b"a/b.jpg"
    assert Input("directory", b"x", b"/x", b"x").place(b"a/b.jpg") == b"x/a/b.jpg"


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        (b"/a", b"/a", True),
        (b"/a/b", b"/a", True),
        (b"/a/b", b"/a/", True),
        (b"/ab", b"/a", False),
        (b"/a", b"/a/b", False),
        (b"/a", b"/", True),
    ],
)
def test_inside_is_decided_by_whole_names(path: bytes, folder: bytes, expected: bool) -> None:
    assert inside(path, folder) is expected
