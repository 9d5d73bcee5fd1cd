"""What can be made again is kept whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from workers.keeping import keep


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "kept"
    for content in (b"first", b"second"):
        keep(path, lambda stream, content=content: stream.write(content))  # type: ignore[misc]
        assert path.read_bytes() == content
    assert [one.name for one in path.parent.iterdir()] == ["kept"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    keep(tmp_path / "kept", full)
    assert list(tmp_path.iterdir()) == []


def test_another_error_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        keep(tmp_path / "kept", lambda _: 1 / 0)


def test_what_a_killed_process_left_is_removed_an_hour_later(tmp_path: Path) -> None:
    fresh, old = tmp_path / ".fresh.tmp", tmp_path / ".old.tmp"
    for left in (fresh, old):
        left.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    keep(tmp_path / "kept", lambda stream: stream.write(b"whole"))
    assert sorted(one.name for one in tmp_path.iterdir()) == [".fresh.tmp", "kept"]
