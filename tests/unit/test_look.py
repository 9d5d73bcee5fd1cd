"""A single image of an input, by index or by name; and what the commands around it print."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from common.errors import UsageError
from producer.cli import cli
from producer.look import look
from tests.videos import in_sequence, number_of, numbered, write_video


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """in/a.png (number 1), in/sub/b.png (2), in/sub/c.png (3), in/z/b.png (4), clip.mp4 (30 frames), list.txt."""
    for number, name in enumerate(("a.png", "sub/b.png", "sub/c.png", "z/b.png"), 1):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(numbered(number)).save(path)
    write_video(tmp_path / "clip.mp4", [numbered(k) for k in range(30)], g="10", sc_threshold="0")
    (tmp_path / "list.txt").write_text("in/sub/c.png\nin/a.png\nclip.mp4/clip_000013.png\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "index", "name", "number"),
    [
        ("in", 0, "a.png", 1),
        ("in", 2, "sub/c.png", 3),
        ("in/sub/b.png", 0, "b.png", 2),
        ("clip.mp4", 0, "clip_000001.png", 0),
        ("clip.mp4", 25, "clip_000026.png", 25),
        ("@list.txt", 0, "clip.mp4/clip_000013.png", 12),
        ("@list.txt", 1, "in/a.png", 1),
    ],
)
def test_an_index_and_a_name_lead_to_the_same_picture(
    place: Path, source: str, index: int, name: str, number: int
) -> None:
    for asked in ({"index": index}, {"name": name}):
        seen = look(source, to="out.png", **asked)  # type: ignore[arg-type]
        assert (seen.index, seen.name, seen.width, seen.height) == (index, name.encode(), 96, 64)
        with Image.open(place / "out.png") as picture:
            assert picture.format == "PNG"
            assert number_of(np.asarray(picture)) == number


def test_a_frame_is_written_as_it_is_decoded(place: Path) -> None:
    look("clip.mp4", index=17, to="out.png")
    with Image.open("out.png") as picture:
        assert np.array_equal(np.asarray(picture)[:, :, ::-1], in_sequence(place / "clip.mp4")[17][1])


def test_a_file_name_is_enough_where_it_is_the_only_one(place: Path) -> None:
    assert look("in", name="c.png").index == 2
    with pytest.raises(UsageError, match=r"2 images have it, give a relative path: sub/b.png, z/b.png"):
        look("in", name="b.png")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "either --index N or --name NAME"),
        ({"index": 0, "name": "a.png"}, "either --index N or --name NAME"),
        ({"index": 4}, "has 4 images, counted from 0"),
        ({"index": -1}, "has 4 images"),
        ({"name": "gone.png"}, "no such image"),
        ({"index": 0, "to": "out.jpg"}, "ends in .png"),
        ({"index": 0, "to": "no/such/out.png"}, "there is no folder"),
        ({"index": 0, "to": "in/a.png"}, "is the input itself"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_sentence(
    place: Path, asked: dict[str, object], told: str
) -> None:
    before = (place / "in" / "a.png").read_bytes()
    with pytest.raises(UsageError) as caught:
        look("in", **asked)  # type: ignore[arg-type]
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (place / "in" / "a.png").read_bytes() == before


def test_the_commands_print_what_they_found(place: Path) -> None:
    run = CliRunner().invoke
    shown = run(cli, ["frames", "show", "clip.mp4", "--index", "12"])
    assert shown.output.splitlines() == [
        "12: clip_000013.png, 96 x 64",
        f"  of {place}/clip.mp4, decoded from frame 10",
    ]
    told = json.loads(run(cli, ["frames", "show", "in", "--name", "c.png", "--json"]).output)
    assert told == {
        "index": 2,
        "name": "sub/c.png",
        "width": 96,
        "height": 64,
        "of": f"{place}/in/sub/c.png",
        "keyframe": None,
    }
    counted = json.loads(run(cli, ["video", "index", "clip.mp4", "--accurate", "--json"]).output)
    assert (counted["frames"], counted["packets"], counted["fast_is_accurate"]) == (30, 30, True)
    assert (counted["keyframes"], counted["is_variable"], counted["fps"]) == (3, False, 25.0)
    words = run(cli, ["video", "index", "clip.mp4"]).output
    assert "frames: 30 (by its packets)" in words
    assert "rate: 25.000 frames/s, constant; duration: 1.200 s" in words
    assert isinstance(run(cli, ["video", "index", "in/a.png"]).exception, UsageError)
