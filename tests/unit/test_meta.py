"""`maskmill meta` in this process: what it refuses, what it keeps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import UsageError
from common.metadata import read_metadata
from producer.cli import cli
from tests.unit.records import provenance, write_crop, write_picture


def meta(*words: object) -> None:
    cli.main([os.fsdecode(str(word)) for word in ("meta", *words)], standalone_mode=False)


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--set", "no-value"],
        ["--set", "seed=5"],
        ["--set", "provenance=x"],
        ["--set", "maskmill=2"],
        ["--set", "user=2"],
        ["--unset", "box"],
        ["--set", "a b=x"],
        ["--set", "=x"],
        ["--set", "a=\udcff"],
        ["--set", f"a={'x' * 2_000_000}"],
    ],
)
def test_an_impossible_change_is_refused_and_the_file_stays(flags: list[str], tmp_path: Path) -> None:
    crop = write_crop(tmp_path / "a.png")
    before = crop.read_bytes()
    with pytest.raises(UsageError) as caught:
        meta("update", crop, *flags)
    assert "\n" not in str(caught.value)
    assert crop.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("case", ["jpeg", "broken", "absent", "a folder", "a list for user"])
def test_a_file_that_cannot_have_a_record_is_refused_by_name(case: str, tmp_path: Path) -> None:
    path = tmp_path / "it.png"
    if case == "jpeg":
        path = write_picture(tmp_path / "it.jpg", 1)
    elif case == "broken":
        path.write_bytes(write_crop(tmp_path / "a.png").read_bytes()[:200])
    elif case == "a folder":
        path.mkdir()
    elif case == "a list for user":
        write_picture(path, 1, {"user": [1]})
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UsageError, match=path.name):
        meta("update", path, "--set", "a=x")
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("ending", [".png", ".PNG", ".tif"])
def test_keys_are_set_and_unset_beside_what_is_there(ending: str, tmp_path: Path) -> None:
    crop = write_crop(tmp_path / f"a{ending}")
    meta("update", crop, "--set", "split=train", "--set", "note=a=b", "--set", "old=1")
    meta("update", crop, "--set", "split=test", "--unset", "old", "--unset", "never-there")
    assert read_metadata(crop).record == {
        "provenance": provenance(),
        "user": {"split": "test", "note": "a=b"},
    }


def test_a_picture_without_a_record_gets_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_picture(tmp_path / "a.tif", 1)
    meta("update", path, "--set", "a=1")
    assert read_metadata(path).record == {"user": {"a": "1"}}
    assert capsys.readouterr().out == '  user.a: "1"\n'


def test_what_a_file_says_cannot_move_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_picture(tmp_path / "a.png", 1, {"user": {"a": "\x1b[2J\x9b", "\u202e": {"b\n": 1}}})
    meta("show", path)
    shown = capsys.readouterr().out
    assert shown.replace("\n", "").isprintable(), repr(shown)
