"""Broken, hostile and odd files among good ones."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.bad_images import CORPUS, write_corpus
from tests.conftest import Command, wait_until
from tests.faults.asked import holding
from tests.oracle import check


def test_every_bad_file_ends_with_its_code_and_every_good_one_is_done(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(photographs, folder / "good")
    (folder / "bad").mkdir()
    written = write_corpus(os.fsencode(folder / "bad"))
    out = tmp_path / "out"
    flags = ["--crop-style", "buffalo", "--labels", "--workers", 2]
    answer = maskmill("run", "--input", folder, "--output", out, *flags)
    assert answer.rc == 1, answer.stderr
    assert "Traceback" not in answer.stderr + answer.stdout
    facts = check(out)
    ended = {}
    for name in written:
        row = facts.images[b"bad/" + CORPUS[name].file_name]
        ended[name] = row["error_code"]
        assert row["error_code"] is None or row["error_stage"] == "detect"
        assert row["attempts"] == 1
    expected = {name: CORPUS[name].code for name in written}
    if os.geteuid() == 0:  # root reads files without permission
        expected["file without permission"] = None
    assert ended == expected
    good = {path: row["status"] for path, row in facts.images.items() if path.startswith(b"good/")}
    assert good.pop(b"good/empty.jpeg") == "missed"
    assert set(good.values()) == {"done"}
    assert len(facts.images) == len(written) + 7


@pytest.mark.parametrize("workers", [0, 1])
def test_fail_fast_stops_at_the_first_failure(
    maskmill: Command, photographs: Path, tmp_path: Path, workers: int
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jpg").write_text("no picture")
    for i in range(20):
        shutil.copy(photographs / "grey.png", folder / f"b{i}.png")
    out = tmp_path / "out"
    flags = ["--fail-fast", "--workers", workers, "--json"]
    answer = maskmill("run", "--input", folder, "--output", out, *flags, env={"MASKMILL_CHUNK_SIZE": "1"})
    assert answer.rc == 1
    assert '"failed": 1' in answer.stdout
    assert '"state": "done"' not in answer.stdout
    answer = maskmill("run", "--input", folder, "--output", out, "--workers", 0)
    assert answer.rc == 1
    assert check(out).states == {"failed": 1, "done": 20}


def test_a_failed_picture_that_was_mended_is_tried_again(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.png").write_text("no picture")
    assert maskmill("run", "--input", folder, "--output", out, "--workers", 0).rc == 1
    assert maskmill("run", "--input", folder, "--output", out, "--workers", 0).rc == 1
    shutil.copy(photographs / "grey.png", folder / "a.png")
    assert maskmill("run", "--input", folder, "--output", out, "--workers", 0).rc == 0
    assert check(out).states == {"done": 1}


def test_a_folder_named_like_a_file_of_ours_is_refused_before_anything_is_written(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "logs.csv").mkdir(parents=True)
    shutil.copy(photographs / "grey.png", folder / "logs.csv" / "a.png")
    answer = maskmill("run", "--input", folder, "--output", out, "--workers", 0)
    assert answer.rc == 2
    assert "rename that folder" in answer.stderr
    assert not out.exists()


def test_a_picture_that_vanishes_or_changes_on_the_way_fails_alone(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    """Files are taken away while the first ones are worked on, by one process that is held meanwhile."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for i in range(40):
        shutil.copy(photographs / "large.webp", folder / f"{i:02}.webp")
    released = tmp_path / "released"
    env = {"MASKMILL_CHUNK_SIZE": "1", **holding("store", released, skip=1)}
    process = maskmill.start("run", "--input", folder, "--output", out, "--workers", 1, env=env)
    wait_until(lambda: process.poll() is not None or any(out.glob("*.jpg")), "the first file")
    assert process.poll() is None
    (folder / "39.webp").unlink()
    shutil.copy(photographs / "grey.png", folder / "38.webp")
    released.touch()
    answer = maskmill.end_of(process)
    assert answer.rc == 1
    facts = check(out)
    assert facts.images[b"39.webp"]["error_code"] == "vanished"
    assert facts.images[b"38.webp"]["error_code"] == "changed"
    assert facts.states == {"done": 38, "failed": 2}
