"""What `--input` can be: names, lists, links, several inputs."""

from __future__ import annotations

import csv
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import Answer, Command
from tests.oracle import Facts, check, mtimes, tree


class Place:
    """A folder to make inputs in, and a run with one style in this process."""

    def __init__(self, maskmill: Command, folder: Path, photographs: Path) -> None:
        self.maskmill = maskmill
        self.folder = folder
        self.out = folder / "out"
        self._face = (photographs / "sub" / "plain.tiff").read_bytes()
        self._no_face = (photographs / "empty.jpeg").read_bytes()

    def add(self, *names: str | bytes, has_face: bool = True) -> None:
        for name in names:
            path = os.path.join(os.fsencode(self.folder), os.fsencode(name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as stream:
                stream.write(self._face if has_face else self._no_face)

    def run(self, *inputs: object, rc: int = 0, cwd: Path | None = None) -> Answer:
        words = [word for one in inputs for word in ("--input", one)]
        flags = ["--output", self.out, "--workers", 0, "--crop-style", "buffalo"]
        answer = self.maskmill("run", *words, *flags, cwd=cwd or self.folder)
        assert answer.rc == rc, answer.stderr
        assert "Traceback" not in answer.stderr
        return answer

    def result(self) -> tuple[set[bytes], Facts]:
        """Stems of all files, and the facts."""
        facts = check(self.out)
        ending = b"_aug0_buffalo.jpg"
        assert all(path.endswith(ending) for path in tree(self.out))
        return {path[: -len(ending)] for path in tree(self.out)}, facts


@pytest.fixture
def place(maskmill: Command, tmp_path: Path, photographs: Path) -> Place:
    return Place(maskmill, tmp_path, photographs)


def image_paths(out: Path) -> list[str]:
    with open(out / "logs.csv", newline="", encoding="utf-8") as stream:
        return [row["image_path"] for row in csv.DictReader(stream)]


def test_equal_stems_take_their_whole_names_and_later_ones_leave_earlier_ones_alone(place: Place) -> None:
    place.add("in/a.jpg", "in/a.png", "in/A.JPG", "in/a_aug0.jpg", "in/b.jpg", "in/deep/a.jpg")
    place.run("in")
    first = {b"a.jpg", b"a.png", b"A.JPG", b"a_aug0.jpg", b"b", b"deep/a"}
    assert place.result()[0] == first
    before = mtimes(place.out)
    place.add("in/b.webp", "in/b_face0.jpg", "in/deep/a_original.bmp", "in/c.jpg")
    place.run("in")
    assert place.result()[0] == first | {b"b.webp", b"b_face0.jpg", b"deep/a_original.bmp", b"c"}
    assert {path: mtimes(place.out)[path] for path in before} == before


def test_a_whole_name_that_an_earlier_picture_has_as_its_stem_is_not_taken_twice(place: Place) -> None:
    place.add("in/a.jpg.png", "in/a.png")
    place.run("in")
    assert place.result()[0] == {b"a.jpg", b"a"}
    place.add("in/a.jpg")
    place.run("in")
    names, facts = place.result()
    assert len(names) == 3
    assert facts.states == {"done": 3}


def test_a_single_file_is_its_own_root(place: Place) -> None:
    place.add("in/deep/one.jpg", "in/deep/other.jpg")
    place.run("in/deep/one.jpg")
    assert place.result()[0] == {b"one"}
    assert set(image_paths(place.out)) == {"in/deep/one.jpg"}


def test_a_list_has_relative_lines_blank_lines_and_escaped_names(place: Place) -> None:
    place.add("in/a.jpg", "in/sub/b.jpg", b"in/caf\xe9.jpg", b"in/new\nline.jpg", "in/unlisted.jpg")
    absolute = place.folder / "in" / "a.jpg"
    text = f"\n{absolute}\r\nsub/b.jpg\n\ncaf\\xe9.jpg\nnew\\x0aline.jpg\nsub/b.jpg\n"
    (place.folder / "in" / "list.txt").write_text(text)
    place.run("@in/list.txt")
    names, facts = place.result()
    assert names == {b"a", b"sub/b", b"caf\xe9", b"new\nline"}
    assert len(facts.images) == 4


def test_paths_missing_from_a_list_are_named_together_and_nothing_is_written(place: Place) -> None:
    place.add("in/a.jpg")
    (place.folder / "in" / "list.txt").write_text("a.jpg\ngone.jpg\nsub/away.jpg\n")
    answer = place.run("@in/list.txt", rc=2)
    assert "gone.jpg" in answer.stderr
    assert "sub/away.jpg" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    assert not place.out.exists()


def test_the_root_of_a_list_can_be_given(place: Place, maskmill: Command) -> None:
    place.add("in/sub/a.jpg", "in/sub/b.jpg")
    (place.folder / "list.txt").write_text("in/sub/a.jpg\nin/sub/b.jpg\n")
    flags = ["--output", place.out, "--workers", 0, "--crop-style", "buffalo", "--input-root", "in"]
    assert maskmill("run", "--input", "@list.txt", *flags, cwd=place.folder).rc == 0
    assert place.result()[0] == {b"sub/a", b"sub/b"}


@pytest.mark.parametrize("through_a_list", [False, True])
def test_the_list_of_missed_images_is_an_input(place: Place, through_a_list: bool) -> None:
    place.add("in/a.jpg", "in/sub/c.jpg")
    place.add("in/none.jpg", b"in/sub/caf\xe9\\.jpg", b"in/\n.jpg", has_face=False)
    lines = "a.jpg\nsub/c.jpg\nnone.jpg\nsub/caf\\xe9\\\\.jpg\n\\x0a.jpg\n"
    (place.folder / "in" / "list.txt").write_text(lines)
    place.run("@in/list.txt" if through_a_list else "in")
    assert place.result()[1].states == {"done": 2, "missed": 3}
    shutil.move(place.out, place.folder / "first")
    place.run("@first/missed_images.txt")
    facts = place.result()[1]
    assert facts.states == {"missed": 3}
    assert {os.path.basename(path) for path in facts.images} == {b"none.jpg", b"caf\xe9\\.jpg", b"\n.jpg"}


def test_an_output_inside_the_input_is_left_out(place: Place) -> None:
    place.add("in/a.jpg", "in/out/of/here.jpg")
    place.out = place.folder / "in" / "results" / "out"
    place.run("in")
    place.run("in")
    assert place.result()[0] == {b"a", b"out/of/here"}


def test_an_output_that_is_the_input_is_refused(place: Place) -> None:
    place.add("in/a.jpg")
    place.out = place.folder / "in"
    place.run("in", rc=2)
    assert os.listdir(place.out) == ["a.jpg"]


def test_inputs_whose_paths_meet_get_the_name_of_their_folder_in_front(place: Place) -> None:
    place.add("x/a.jpg", "x/b.jpg", "y/a.jpg", "z/c.jpg")
    place.run("x", "y", "z/")
    assert place.result()[0] == {b"x/a", b"x/b", b"y/a", b"z/c"}
    assert list(dict.fromkeys(image_paths(place.out))) == ["x/a.jpg", "x/b.jpg", "y/a.jpg", "z/c.jpg"]


def test_inputs_whose_paths_do_not_meet_share_the_output(place: Place) -> None:
    place.add("x/a.jpg", "y/b.jpg")
    place.run("x", "y")
    assert place.result()[0] == {b"a", b"b"}


def test_inputs_whose_paths_meet_only_later_lose_no_image(place: Place) -> None:
    place.add("x/a.jpg", "y/b.jpg")
    place.run("x", "y")
    place.add("x/new.jpg", "y/new.jpg")
    place.run("x", "y")
    facts = place.result()[1]
    assert len(facts.images) == 4
    assert set(image_paths(place.out)) == {"x/a.jpg", "x/new.jpg", "y/b.jpg", "y/new.jpg"}


def test_an_input_inside_another_counts_once(place: Place) -> None:
    place.add("x/a.jpg", "x/sub/b.jpg")
    place.run("x", "x/sub", "x/a.jpg", "x/")
    assert place.result()[0] == {b"a", b"sub/b"}


def test_hidden_files_and_folders_are_left_out(place: Place) -> None:
    place.add("in/a.jpg", "in/.b.jpg", "in/.hidden/c.jpg", "in/sub/.d.jpg")
    place.run("in")
    assert place.result()[0] == {b"a"}


def test_links_are_read_inside_the_input_and_counted_outside(place: Place) -> None:
    place.add("in/a.jpg", "in/sub/b.jpg", "other/c.jpg")
    inside, other = place.folder / "in", place.folder / "other"
    (inside / "link.jpg").symlink_to("sub/b.jpg")
    (inside / "leaves.jpg").symlink_to(other / "c.jpg")
    (inside / "folder").symlink_to(other)
    (inside / "again").symlink_to(inside / "sub")
    answer = place.run("in")
    assert place.result()[0] == {b"a", b"sub/b", b"link"}
    assert "2 linked folders" in answer.stderr, answer.stderr
    assert "1 links" in answer.stderr


def test_a_link_given_by_hand_that_leaves_its_folder_is_named(place: Place) -> None:
    place.add("in/a.jpg", "other/c.jpg")
    (place.folder / "in" / "leaves.jpg").symlink_to(place.folder / "other" / "c.jpg")
    answer = place.run("in/leaves.jpg", rc=2)
    assert "--follow-symlinks" in answer.stderr
    assert not place.out.exists()


@pytest.mark.parametrize("name", ["logs.csv", "missed_images.txt", "maskmill.db"])
def test_a_folder_with_the_name_of_an_export_is_refused_before_anything_is_written(
    place: Place, name: str
) -> None:
    place.add("in/a.jpg", f"in/{name}/b.jpg")
    answer = place.run("in", rc=2)
    assert name in answer.stderr
    assert not place.out.exists()


def test_links_are_followed_when_asked_and_loops_end(place: Place, maskmill: Command) -> None:
    place.add("in/a.jpg", "other/c.jpg")
    inside, other = place.folder / "in", place.folder / "other"
    (inside / "leaves.jpg").symlink_to(other / "c.jpg")
    (inside / "folder").symlink_to(other)
    (other / "back").symlink_to(inside)
    flags = ["--output", place.out, "--workers", 0, "--crop-style", "buffalo", "--follow-symlinks"]
    assert maskmill("run", "--input", inside, *flags).rc == 0
    assert place.result()[0] == {b"a", b"leaves", b"folder/c"}


def test_names_that_are_no_text_are_written_as_they_are_and_shown_escaped(place: Place) -> None:
    names = [b"caf\xe9.jpg", b"new\nline.jpg", b'"quo\'tes",.jpg', b"back\\slash.jpg", b"n" * 231 + b".jpg"]
    place.add(*(b"in/" + name for name in names))
    place.run("in")
    assert place.result()[0] == {name[:-4] for name in names}
    with sqlite3.connect(place.out / "maskmill.db") as database:
        assert {row[0] for row in database.execute("SELECT relative_path FROM images")} == set(names)
    database.close()
    expected = ["caf\\xe9.jpg", "new\\x0aline.jpg", '"quo\'tes",.jpg', "back\\\\slash.jpg"]
    assert {f"in/{name}" for name in expected} < set(image_paths(place.out))


def test_every_picture_format_is_read_in_any_case(place: Place) -> None:
    names = [
        f"in/{i}{ending}"
        for i, ending in enumerate((".jpg", ".JPEG", ".Png", ".bmp", ".WEBP", ".tif", ".tiff"))
    ]
    place.add(*names, "in/notes.txt", "in/movie.gif")
    place.run("in")
    assert place.result()[0] == {b"%d" % i for i in range(7)}
