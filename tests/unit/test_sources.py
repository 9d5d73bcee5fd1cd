"""Pictures carried from one stage to the next, and files read ahead."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from common.images import ReducedImage
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedInput
from workers.sources import KeptPictures, Sources


def picture(height: int, width: int, factor: int = 1) -> ReducedImage:
    return ReducedImage(np.zeros((height, width, 3), np.uint8), factor, width * factor, height * factor)


def image(relative_path: bytes, frame_index: int | None = None) -> ClaimedImage:
    return ClaimedImage(7, 1, relative_path, b"x", None, None, 1, frame_index=frame_index)


def sources(root: Path) -> Sources:
    folder = os.fsencode(root)
    given = RecordedInput(1, "folder", folder, folder, b"")
    return Sources({1: given}, {1: folder}, (folder,))


def test_a_picture_is_taken_once() -> None:
    kept = KeptPictures()
    whole = picture(4, 5)
    kept.keep(3, whole)
    assert kept.take(3) is whole
    assert kept.take(3) is None
    assert kept.take(4) is None


def test_a_reduced_picture_is_not_kept_for_it_has_other_pixels() -> None:
    kept = KeptPictures()
    kept.keep(3, picture(4, 5, factor=2))
    assert kept.take(3) is None


def test_pictures_are_kept_as_long_as_there_is_room() -> None:
    kept = KeptPictures(room=100)
    kept.keep(1, picture(5, 4))  # 60 bytes
    kept.keep(2, picture(5, 4))
    assert kept.take(2) is None
    assert kept.take(1) is not None
    kept.keep(2, picture(5, 4))
    assert kept.take(2) is not None


@pytest.mark.parametrize(
    "name", [b"there.jpg", b"missing.jpg", b"../outside.jpg", b"folder", b"pipe", b"a\0b"]
)
def test_reading_ahead_does_no_harm(tmp_path: Path, name: bytes) -> None:
    (tmp_path / "there.jpg").write_bytes(b"0123456789")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))
    sources(tmp_path).announce(image(name))
    sources(tmp_path).announce(image(name, frame_index=4))
    assert len(os.listdir("/proc/self/fd")) == before


def test_so_many_pictures_fit_as_the_mean_of_those_seen_says() -> None:
    kept = KeptPictures(room=1000)
    assert kept.fitting() is None
    kept.keep(1, picture(10, 10))  # 300 bytes
    kept.keep(2, picture(50, 50, factor=2))
    assert kept.fitting() == 3, "what was reduced is never kept"
    kept.keep(3, picture(30, 10))
    assert kept.fitting() == 1
    assert kept.take(3) is None, "it found no room, and counts all the same"
