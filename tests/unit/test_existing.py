"""`--skip-existing`: which files make an image one that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.options import JobOptions
from producer.existing import is_made

TWO = JobOptions(n_augmentations=2, crop_styles=("buffalo", "scale_shift"))
ONE_FACE = ["a_aug0_buffalo.jpg", "a_aug0_scale_shift.jpg", "a_aug1_buffalo.jpg", "a_aug1_scale_shift.jpg"]


def faces(*numbers: int) -> list[str]:
    return [
        f"a_aug{variant}_face{number}_{style}.jpg"
        for variant in (0, 1)
        for number in numbers
        for style in ("buffalo", "scale_shift")
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], False),
        (ONE_FACE, True),
        (ONE_FACE[:3], False),
        (faces(0, 1), True),
        (faces(0), False),
        (faces(0, 1, 2, 3), True),
        ([*faces(0, 1), "a_aug0_face2_buffalo.jpg"], False),
        (["a.jpg", "b_aug0_buffalo.jpg"], False),
    ],
)
def test_all_files_of_all_faces_must_be_there(tmp_path: Path, files: list[str], expected: bool) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert is_made(TWO, bytes(tmp_path), b"a") is expected


def test_whole_pictures_do_not_tell_how_many_faces_there_are(tmp_path: Path) -> None:
    options = JobOptions(full_masked=True)
    assert not is_made(options, bytes(tmp_path), b"sub/a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a_aug0_masked.png").touch()
    assert is_made(options, bytes(tmp_path), b"sub/a")
