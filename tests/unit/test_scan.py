"""Enumeration: which images are met, in which order."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.database import engine_for, sqlite_url
from common.ledger.jobs import add_inputs, find_job, open_job
from common.options import JobOptions
from common.schema import upgrade
from producer.inputs import Input, read_inputs, with_prefixes
from producer.plan import record_found
from producer.scan import Scanner, keep_every

OUTPUT = b"/is-not-there"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*names: str | bytes) -> None:
    for name in names:
        path = os.fsencode(name)
        os.makedirs(os.path.dirname(path) or b".", exist_ok=True)
        with open(path, "wb") as stream:
            stream.write(b"x")


def scanner(*given: str, output: bytes = OUTPUT, follow: bool = False) -> Scanner:
    return Scanner(read_inputs(given, None), output, follow_symlinks=follow)


def found(*given: str, output: bytes = OUTPUT, follow: bool = False) -> list[bytes]:
    return [one.relative for one in scanner(*given, output=output, follow=follow).images()]


_part = st.sampled_from([b"a", b"b", b"a.jpg", b"a-b", b"a b", b"A", b"\xff", b"0", b"a.", b"zz"])
_tree = st.lists(st.lists(_part, min_size=1, max_size=3), max_size=12)


@settings(max_examples=60, deadline=None)
@given(_tree)
def test_the_order_is_that_of_the_relative_paths(tree: list[list[bytes]]) -> None:
    root = os.fsencode(tempfile.mkdtemp())
    try:
        for parts in tree:
            path = os.path.join(root, *parts) + b".jpg"
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "xb") as stream:
                    stream.write(b"x")
            except (FileExistsError, NotADirectoryError):
                continue  # a file has the name of a folder, or the other way round
        everything = sorted(
            os.path.relpath(os.path.join(folder, name), root)
            for folder, _, names in os.walk(root)
            for name in names
        )
        images = list(Scanner([Input("directory", root, os.path.realpath(root))], OUTPUT).images())
        assert [image.relative for image in images] == everything
        assert all((image.position, image.size, image.written) == (0, 1, None) for image in images)
    finally:
        shutil.rmtree(root)


def test_an_empty_folder_has_no_image(place: Path) -> None:
    (place / "x").mkdir()
    assert found("x") == []


def test_hidden_files_other_files_and_the_output_are_left_out(place: Path) -> None:
    make("x/a.jpg", "x/.b.jpg", "x/.c/d.jpg", "x/notes.txt", "x/out/e.jpg", "x/sub/out/f.jpg")
    assert found("x", output=os.path.realpath(b"x/out")) == [b"a.jpg", b"sub/out/f.jpg"]


def test_links_are_read_inside_the_roots_and_counted_outside(place: Path) -> None:
    make("x/a.jpg", "x/sub/b.jpg", "y/c.jpg")
    os.symlink("a.jpg", "x/in.jpg")
    os.symlink("../y/c.jpg", "x/out.jpg")
    os.symlink("../y", "x/folder")
    os.symlink("gone.jpg", "x/dangling.jpg")
    walk = scanner("x")
    assert [one.relative for one in walk.images()] == [b"a.jpg", b"dangling.jpg", b"in.jpg", b"sub/b.jpg"]
    assert (walk.skips.linked_folders, walk.skips.outside_links) == (1, 1)
    # A link from one input into another leaves no root.
    assert b"out.jpg" in found("x", "y")


def test_links_named_by_hand_are_left_out_and_counted_too(place: Path) -> None:
    make("x/a.jpg", "y/c.jpg")
    os.symlink("a.jpg", "x/in.jpg")
    os.symlink("../y/c.jpg", "x/out.jpg")
    Path("list.txt").write_text("x/in.jpg\nx/out.jpg\n")
    for words, names in ((["x/in.jpg"], [b"in.jpg"]), (["x/out.jpg"], []), (["@list.txt"], [b"in.jpg"])):
        walk = scanner(*words)
        assert [os.path.basename(one.relative) for one in walk.images()] == names
        assert walk.skips.outside_links == (words != ["x/in.jpg"])
    assert found("x/out.jpg", follow=True) == [b"out.jpg"]
    assert found("x/out.jpg", "y") == [b"out.jpg", b"c.jpg"]


def test_links_are_followed_when_asked_and_a_loop_ends(place: Path) -> None:
    make("x/a.jpg", "y/c.jpg")
    os.symlink("../y", "x/folder")
    os.symlink("../x", "y/back")
    os.symlink(".", "x/self")
    os.symlink("../y/c.jpg", "x/out.jpg")
    assert found("x", follow=True) == [b"a.jpg", b"folder/c.jpg", b"out.jpg"]


def test_inputs_come_in_the_order_given(place: Path) -> None:
    make("x/a.jpg", "y/b.jpg", "z.jpg", "w/c.jpg")
    Path("list.txt").write_text("w/c.jpg\n")
    images = list(scanner("y", "@list.txt", "x", "z.jpg").images())
    assert [(image.position, image.relative) for image in images] == [
        (0, b"b.jpg"),
        (1, b"c.jpg"),
        (2, b"a.jpg"),
        (3, b"z.jpg"),
    ]
    assert [image.written for image in images] == [None, b"w/c.jpg", None, b"z.jpg"]


def test_relative_paths_of_two_inputs_meet_or_do_not(place: Path) -> None:
    make("x/a.jpg", "x/sub/b.jpg", "y/a.jpg", "z/b.jpg", "w/sub/b.jpg")
    assert not scanner("x").relative_paths_meet()
    assert not scanner("x", "z").relative_paths_meet()
    assert not scanner("x/a.jpg", "x/sub/b.jpg").relative_paths_meet()
    assert scanner("x", "y").relative_paths_meet()
    assert scanner("x", "y", "z").relative_paths_meet()
    assert scanner("x", "z", "w").relative_paths_meet()
    assert scanner("x/a.jpg", "y/a.jpg").relative_paths_meet()


def test_prefixes_stand_before_the_paths_and_lead_to_the_names(place: Path) -> None:
    make("x/a.jpg", "x/sub/b.jpg", "y/a.jpg", "y/c.txt")
    walk = Scanner(with_prefixes(read_inputs(["x", "y"], None)), OUTPUT)
    assert [one.relative for one in walk.images()] == [b"x/a.jpg", b"x/sub/b.jpg", b"y/a.jpg"]
    assert set(walk.names_in(b"x")) == {b"a.jpg"}
    assert set(walk.names_in(b"x/sub")) == {b"b.jpg"}
    assert set(walk.names_in(b"y")) == {b"a.jpg"}


def test_names_in_a_folder_are_those_of_all_inputs(place: Path) -> None:
    make("x/a.jpg", "x/sub/b.jpg", "y/c.png", "y/.d.png", "y/sub/e.jpg")
    assert set(scanner("x", "y").names_in(b"")) == {b"a.jpg", b"c.png"}
    assert set(scanner("x", "y").names_in(b"sub")) == {b"b.jpg", b"e.jpg"}
    assert set(scanner("x/a.jpg", "y").names_in(b"sub")) == {b"e.jpg"}


def test_every_nth_image_is_counted_from_the_first(place: Path) -> None:
    make(*(f"x/{i}.jpg" for i in range(7)))
    walk = scanner("x")
    assert [one.relative for one in keep_every(walk, 3, lambda _: False)] == [b"0.jpg", b"3.jpg", b"6.jpg"]
    assert (walk.skips.found, walk.skips.left_out) == (7, 4)


def test_what_is_left_out_is_counted_also_when_an_index_is_out_of_range(place: Path) -> None:
    make(*(f"x/{i}.jpg" for i in range(7)))
    walk = scanner("x")
    skip = {0, 1, 4, 7, 99, -1}.__contains__
    assert [one.relative for one in keep_every(walk, 1, skip)] == [b"2.jpg", b"3.jpg", b"5.jpg", b"6.jpg"]
    assert (walk.skips.found, walk.skips.left_out) == (7, 3)
    assert [one.relative for one in keep_every(walk, 2, skip)] == [b"2.jpg", b"6.jpg"]
    assert (walk.skips.found, walk.skips.left_out) == (7, 5)


def test_a_file_that_vanishes_while_it_is_recorded_ends_nothing(place: Path) -> None:
    make("x/a.jpg", "x/b.jpg", "x/c.jpg")
    url = sqlite_url(str(place / "jobs.db"))
    upgrade(url)
    engine = engine_for(url)
    job = open_job(
        engine,
        output=b"/out",
        output_given=b"out",
        options=JobOptions(crop_styles=("buffalo",)),
        follow_symlinks=False,
        version="0",
    )
    walk = scanner("x")
    ids = add_inputs(engine, job, read_inputs(["x"], None))
    job = find_job(engine, output=b"/out") or job
    images = walk.images()
    first = next(images)
    os.unlink("x/c.jpg")
    try:
        assert record_found(engine, job, ids, walk, iter([first, *images])) == 3
    finally:
        engine.dispose()
