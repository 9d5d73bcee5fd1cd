"""What can be made again is kept whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from workers.keeping import keep, read_kept


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "kept"
    assert read_kept(path) is None
    for content in (b"first", b"second"):
        keep(path, content)
        assert read_kept(path) == content
    assert [one.name for one in path.parent.iterdir()] == ["kept"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    keep(tmp_path / "kept", b"a folder is in the way")
    assert [one.name for one in tmp_path.iterdir()] == ["kept"]
    assert read_kept(tmp_path / "kept") is None


@pytest.mark.parametrize("spoilt", [b"", b"abc", b"conten", b"content\0\0\0\0", b"PK\x03\x04 and more"])
def test_what_is_no_longer_whole_is_missing(tmp_path: Path, spoilt: bytes) -> None:
    (tmp_path / "kept").write_bytes(spoilt)
    assert read_kept(tmp_path / "kept") is None


def test_what_a_killed_process_left_is_removed_an_hour_later(tmp_path: Path) -> None:
    fresh, old = tmp_path / ".fresh.tmp", tmp_path / ".old.tmp"
    for left in (fresh, old):
        left.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    keep(tmp_path / "kept", b"whole")
    assert sorted(one.name for one in tmp_path.iterdir()) == [".fresh.tmp", "kept"]
