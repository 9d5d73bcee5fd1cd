"""`--filter` and `--nfilter` at the door."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from common.errors import UnfitError, UsageError
from common.identity import DLIB_THRESHOLD
from common.options import JobOptions
from producer.references import identity_options, read_references
from tests.embedders import write_tint_embedder


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """`ada/` with two pictures, one of them hidden deeper, `bob.png`, and things that are no pictures."""
    (tmp_path / "ada" / "deep").mkdir(parents=True)
    for number, name in enumerate(("ada/one.png", "ada/deep/two.PNG", "bob.png")):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / name, "PNG")
    (tmp_path / "ada" / "notes.txt").write_text("no picture")
    (tmp_path / "ada" / ".hidden.png").write_bytes(b"")
    return tmp_path


def test_files_and_folders_are_read_each_picture_once(people: Path) -> None:
    shutil.copy(people / "ada" / "one.png", people / "ada" / "zzz.png")
    found = read_references([str(people / "ada"), str(people / "ada" / "one.png")], [str(people / "bob.png")])
    assert [(one.flag, Path(one.path.decode()).name) for one in found] == [
        ("filter", "two.PNG"), ("filter", "one.png"), ("nfilter", "bob.png"),
    ]  # fmt: skip
    assert [one.sha256 for one in found] == [hashlib.sha256(one.data).hexdigest() for one in found]
    assert read_references([], []) == ()


def test_a_picture_in_both_lists_is_named_with_its_twin(people: Path) -> None:
    shutil.copy(people / "bob.png", people / "robert.png")
    with pytest.raises(
        UsageError, match=r"--nfilter \S+/robert\.png is the same picture as --filter \S+/bob\.png"
    ):
        read_references([str(people / "bob.png")], [str(people / "robert.png")])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent.png", "absent.png: it cannot be read"),
        ("empty.png", "empty.png: it cannot be read"),
        ("folder", "folder: no image is in it"),
    ],
)
def test_what_cannot_be_read_is_named(people: Path, name: str, said: str) -> None:
    (people / "empty.png").write_bytes(b"")
    (people / "folder").mkdir()
    for lists in (([str(people / name)], []), ([], [str(people / name)])):
        with pytest.raises(UsageError, match=re.escape(said)) as caught:
            read_references(*lists)
        assert str(caught.value).startswith("--filter" if lists[0] else "--nfilter")


def test_the_threshold_is_that_of_the_embedder_unless_it_is_given(people: Path) -> None:
    both = read_references([str(people / "ada")], [str(people / "bob.png")])
    options = JobOptions(**identity_options(both, None, None))  # type: ignore[arg-type]
    assert (options.filter_threshold, options.embedder) == (DLIB_THRESHOLD, "dlib-resnet")
    assert (len(options.filters), len(options.nfilters), options.filters_identity) == (2, 1, True)
    assert JobOptions(**identity_options(both, 0.2, None)).filter_threshold == 0.2  # type: ignore[arg-type]
    model = write_tint_embedder(people / "tint.onnx", threshold=0.3)
    assert identity_options(both, None, str(model))["filter_threshold"] == 0.3
    assert not JobOptions(**identity_options((), None, None)).filters_identity  # type: ignore[arg-type]


def test_options_that_make_no_sense_are_refused(people: Path) -> None:
    bob = read_references([str(people / "bob.png")], [])
    with pytest.raises(UsageError, match="--filter-threshold has a meaning only with --filter"):
        identity_options((), 0.1, None)
    with pytest.raises(UsageError, match="--identity-model has a meaning only with --filter"):
        identity_options((), None, "net.onnx")
    bare = write_tint_embedder(people / "bare.onnx", threshold=None)
    with pytest.raises(UsageError, match=r"tint-\w+ has no threshold of its own: give --filter-threshold"):
        identity_options(bob, None, str(bare))
    assert identity_options(bob, 0.1, str(bare))["filter_threshold"] == 0.1
    with pytest.raises(UnfitError, match="no such file"):
        identity_options(bob, None, str(people / "absent.onnx"))
