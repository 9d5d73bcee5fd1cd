"""The same command again, and commands that ask for more or for something else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Answer, Command
from tests.oracle import check, mtimes, read_facts, tree


class Job:
    """Three pictures in one output, in this process."""

    def __init__(self, maskmill: Command, photographs: Path, folder: Path) -> None:
        self.maskmill = maskmill
        self.input = folder / "in"
        self.input.mkdir()
        for name in ("exif.jpg", "empty.jpeg", "sub/two.JPG"):
            shutil.copy(photographs / name, self.input)
        self.out = folder / "out"

    def __call__(self, *flags: object, rc: int = 0) -> Answer:
        words = ["--input", self.input, "--output", self.out, "--workers", 0]
        answer = self.maskmill("run", *words, *flags)
        assert answer.rc == rc, answer.stderr
        assert "Traceback" not in answer.stderr
        return answer


@pytest.fixture
def job(maskmill: Command, photographs: Path, tmp_path: Path) -> Job:
    return Job(maskmill, photographs, tmp_path)


def test_the_same_command_again_does_nothing(job: Job) -> None:
    job()
    facts, written = check(job.out), mtimes(job.out)
    job()
    again = check(job.out)
    assert mtimes(job.out) == written
    assert again.images == facts.images
    assert again.job["name"] == facts.job["name"]


EXTENSIONS: dict[str, tuple[list[object], list[object], int]] = {
    # Three faces: files of the first command, then of both together.
    "more variants": (["--n-augmentations", 1], ["--n-augmentations", 3], 27),
    "more styles": (["--crop-style", "buffalo"], ["--crop-style", "scale_shift"], 6),
    "labels, originals and full pictures": (
        [],
        ["--labels", "--with-original", "--save-full", "always"],
        9 + 9 + 3 * 2,
    ),
    "fewer variants keep those that are there": (["--n-augmentations", 2], ["--n-augmentations", 1], 18),
    "masks after none": (["--no-mask"], [], 9 + 2 + 9),
    "crops after none": (["--no-crop"], [], 2 + 9),
    "another format": (["--crop-style", "buffalo"], ["--crop-style", "buffalo", "--crop-format", "png"], 6),
}


@pytest.mark.parametrize("name", EXTENSIONS)
def test_asking_for_more_adds_files_and_leaves_the_others_alone(job: Job, name: str) -> None:
    first, second, files = EXTENSIONS[name]
    job(*first)
    before, written = tree(job.out), mtimes(job.out)
    job(*second)
    facts, after = check(job.out), tree(job.out)
    assert len(after) == files
    assert {path: after[path] for path in before} == before
    assert {path: mtimes(job.out)[path] for path in written} == written
    assert facts.states == {"done": 2, "missed": 1}


def test_an_extended_job_is_what_asking_for_all_at_once_gives(job: Job) -> None:
    job("--crop-style", "buffalo")
    job("--n-augmentations", 2, "--with-original", "--labels", "--save-full", "always")
    extended = tree(job.out)
    job.out = job.out.with_name("at-once")
    job("--n-augmentations", 2, "--with-original", "--labels", "--save-full", "always")
    assert tree(job.out) == extended


def test_a_changed_option_is_refused_by_name_and_changes_nothing(job: Job) -> None:
    job("--crop-style", "buffalo")
    facts, before = read_facts(job.out), mtimes(job.out)
    changes: list[list[object]] = [
        ["--seed", 1],
        ["--crop-size", 128],
        ["--mask-type", "cloth"],
        ["--mask-color", "#123456"],
        ["--mask-per-face"],
        ["--score", 0.6],
        ["--largest-face"],
        ["--min-face", 20],
    ]
    for flags in changes:
        answer = job("--crop-style", "buffalo", *flags, rc=2)
        assert str(flags[0]) in answer.stderr
        assert "--force" in answer.stderr
    assert mtimes(job.out) == before
    assert check(job.out).job["options"] == facts.job["options"]


def test_force_starts_anew(job: Job) -> None:
    job("--n-augmentations", 2)
    before = tree(job.out)
    job("--seed", 1, "--crop-style", "buffalo", "--force")
    facts, after = check(job.out), tree(job.out)
    assert facts.job["options"]["seed"] == 1
    assert len(after) == 3
    assert all(before[path] != digest for path, digest in after.items())


def test_pictures_that_come_later_are_added(job: Job, photographs: Path) -> None:
    job()
    written = mtimes(job.out)
    shutil.copy(photographs / "grey.png", job.input)
    job()
    assert check(job.out).states == {"done": 3, "missed": 1}
    assert {path: mtimes(job.out)[path] for path in written} == written


def test_another_input_is_added(job: Job, photographs: Path) -> None:
    job()
    assert job.maskmill(
        "run", "--input", photographs / "grey.png", "--output", job.out, "--workers", 0
    ).rc == 0  # fmt: skip
    assert check(job.out).states == {"done": 3, "missed": 1}
