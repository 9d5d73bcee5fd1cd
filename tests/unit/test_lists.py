"""`@list.txt`: one path a line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from producer.lists import ListIndex, list_lines


@pytest.fixture
def folder(tmp_path: Path) -> bytes:
    return os.path.realpath(os.fsencode(tmp_path))


def write(folder: bytes, content: bytes) -> bytes:
    path = os.path.join(folder, b"list.txt")
    with open(path, "wb") as stream:
        stream.write(content)
    return path


def lines(folder: bytes, content: bytes) -> list[tuple[bytes, bytes]]:
    return [(line.written, line.absolute) for line in list_lines(write(folder, content))]


def test_an_empty_list_has_no_line(folder: bytes) -> None:
    assert lines(folder, b"") == []
    assert lines(folder, b"\n\r\n  \n") == []


def test_relative_lines_are_relative_to_the_folder_of_the_list(folder: bytes) -> None:
    assert lines(folder, b"a.jpg\nsub/../b.jpg\n/abs/c.jpg") == [
        # Shown with the list's folder in front: what is shown can be opened from the current folder.
        (folder + b"/a.jpg", folder + b"/a.jpg"),
        (folder + b"/sub/../b.jpg", folder + b"/b.jpg"),
        (b"/abs/c.jpg", b"/abs/c.jpg"),
    ]


def test_a_line_that_is_only_in_the_current_folder_is_found_there(
    folder: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.jpg").touch()
    monkeypatch.chdir(tmp_path / "here")
    assert lines(folder, b"a.jpg\n") == [(b"a.jpg", folder + b"/here/a.jpg")]


def test_escapes_become_bytes_and_other_bytes_stay(folder: bytes) -> None:
    content = b"caf\\xe9.jpg\nnew\\x0aline.jpg\nback\\\\x41.jpg\nraw\xff.jpg\n with spaces .jpg\r\n"
    assert [written for written, _ in lines(folder, content)] == [
        folder + b"/caf\xe9.jpg",
        folder + b"/new\nline.jpg",
        folder + b"/back\\x41.jpg",
        folder + b"/raw\xff.jpg",
        folder + b"/ with spaces .jpg",
    ]


def test_the_index_is_sorted_and_has_each_path_once(folder: bytes) -> None:
    path = write(folder, b"b.jpg\nsub/a.jpg\n./b.jpg\na.jpg\nsub/z.jpg\n")
    index = ListIndex(path, folder)
    assert list(index.entries()) == [
        (b"a.jpg", folder + b"/a.jpg"),
        (b"b.jpg", folder + b"/b.jpg"),
        (b"sub/a.jpg", folder + b"/sub/a.jpg"),
        (b"sub/z.jpg", folder + b"/sub/z.jpg"),
    ]
    assert sorted(index.names_in(b"sub")) == [b"a.jpg", b"z.jpg"]
    assert sorted(index.names_in(b"")) == [b"a.jpg", b"b.jpg"]
    assert index.names_in(b"elsewhere") == []


def test_a_list_that_is_not_there_is_an_error(folder: bytes) -> None:
    with pytest.raises(OSError, match="No such file"):
        list(list_lines(folder + b"/gone.txt"))
