"""`--boxes`: rows of a CSV file, and where the paths in it lead."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from common.errors import UsageError
from common.ledger.boxes import GivenFace, boxes_of, record_boxes
from common.ledger.jobs import remove_job
from producer.box_argument import read_boxes
from producer.inputs import Input
from tests.unit.ledgers import Ledger, open_ledger
from workers.finding import as_detection

HEADER = "image_path,x1,y1,x2,y2\n"


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    is_sqlite = request.param == "sqlite"
    opened = open_ledger(
        f"sqlite:///{tmp_path}/l.db" if is_sqlite else request.getfixturevalue("postgres_url")
    )
    yield opened
    opened.engine.dispose()


def write(path: Path, text: str) -> str:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return str(path)


def faces(path: str, *inputs: Path) -> list[GivenFace]:
    source = read_boxes(path, "nowhere")
    return list(source.faces([Input("directory", os.fsencode(one), os.fsencode(one)) for one in inputs]))


def test_the_least_file_has_a_path_and_four_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (face,) = faces(write(tmp_path / "b.csv", HEADER + "a.jpg,1,2.5,30,40\n"), tmp_path)
    assert face == GivenFace(os.fsencode(tmp_path / "a.jpg"), 2, 1, 2.5, 30, 40, 1.0, 0.0, None)


def test_what_export_writes_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    text = (
        "\ufeffimage_path,face_index,x1,y1,x2,y2,score,points_5,points_68,status,ordinal,angle\r\n"
        'a.jpg,0,1,2,3,4,0.75,"[[1,2],[3,4],[5,6],[7,8],[9,10]]","[[0,0]]",accepted,0,270.0\r\n'
        "a.jpg,,1,2,3,4,0.5,,,rejected:min_size,1,0.0\r\n"
        "a.jpg,1,5,6,7,8,,,,accepted,2,\r\n"
    )
    first, second = faces(write(tmp_path / "b.csv", text), tmp_path)
    assert (first.score, first.angle, first.points_5) == (
        0.75,
        270,
        [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]],
    )
    assert (second.line, second.score, second.angle, second.points_5) == (4, 1.0, 0.0, None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,1,2,x,4", "line 3: x2 must be a number, got 'x'"),
        ("a.jpg,1,2,,4", "line 3: x2 must be a number, got ''"),
        ("a.jpg,1,2,nan,4", "line 3: x2 must be a number"),
        ("a.jpg,1,2,3", "line 3: 5 cells are expected as in the header, got 4"),
        ("a.jpg,5,2,3,4", "line 3: x1 < x2 and y1 < y2 are expected, got 5, 2, 3, 4"),
        (",1,2,3,4", "line 3: image_path must be the path of a file"),
        ("a\\x00.jpg,1,2,3,4", "line 3: image_path must be the path of a file"),
        ('"a.jpg\nb",1,2,3,q', "line 4: y2 must be a number"),
    ],
)
def test_a_bad_row_is_one_sentence_with_its_line(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path / "b.csv", HEADER + "a.jpg,1,2,3,4\n" + row + "\n")
    with pytest.raises(UsageError) as caught:
        read_boxes(path, "nowhere")
    assert f"--boxes {path}, {message}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "cell", "message"),
    [
        ("score", "1.5", "score must be 0 to 1"),
        ("points_5", "[[1,2]]", "points_5 must be five"),
        ("points_5", "[1,2,3,4,5]", "points_5 must be five"),
        ("points_5", "nose", "points_5 must be five"),
        ("angle", "north", "angle must be a number"),
    ],
)
def test_a_bad_optional_cell_is_refused(tmp_path: Path, header: str, cell: str, message: str) -> None:
    path = write(tmp_path / "b.csv", f'image_path,x1,y1,x2,y2,{header}\na.jpg,1,2,3,4,"{cell}"\n')
    with pytest.raises(UsageError, match=f"line 2: {message}"):
        read_boxes(path, "nowhere")


@pytest.mark.parametrize("text", ["", "image_path,x1,y1,x2\n", "a.jpg,1,2,3,4\n"])
def test_a_file_without_the_columns_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="line 1: the columns image_path, x1, y1, x2, y2 are expected"):
        read_boxes(write(tmp_path / "b.csv", text), "nowhere")


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--boxes .*none\.csv: it cannot be read"):
        read_boxes(str(tmp_path / "none.csv"), "nowhere")


def test_other_contents_are_other_boxes(tmp_path: Path) -> None:
    one = read_boxes(write(tmp_path / "a.csv", HEADER + "a.jpg,1,2,3,4\n"), "nowhere")
    same = read_boxes(write(tmp_path / "b.csv", HEADER + "a.jpg,1,2,3,4\n"), "nowhere")
    other = read_boxes(write(tmp_path / "c.csv", HEADER + "a.jpg,1,2,3,5\n"), "nowhere")
    assert one.identity == same.identity != other.identity


def test_paths_lead_from_the_file_the_current_folder_or_an_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {name: tmp_path / name for name in ("lists", "here", "photos")}
    for folder in places.values():
        (folder / "sub").mkdir(parents=True)
    monkeypatch.chdir(places["here"])
    (places["lists"] / "both.jpg").touch()
    (places["here"] / "both.jpg").touch()
    (places["here"] / "here.jpg").touch()
    odd = os.fsencode(places["photos"] / "sub") + b"/\xff \\.jpg"
    Path(os.fsdecode(odd)).touch()
    (tmp_path / "link").symlink_to(places["photos"])
    rows = [
        "both.jpg",
        "here.jpg",
        r"sub/\xff \\.jpg",
        rf"{tmp_path}/link/sub/\xff \\.jpg",
        "sub/not there.jpg",
    ]
    text = HEADER + "".join(f"{row},1,2,3,4\n" for row in rows)
    found = faces(write(places["lists"] / "b.csv", text), places["photos"])
    assert [face.path for face in found] == [
        os.fsencode(places["lists"] / "both.jpg"),
        os.fsencode(places["here"] / "here.jpg"),
        odd,
        odd,
        os.fsencode(places["photos"] / "sub" / "not there.jpg"),
    ]


def test_a_picture_in_utf_8_is_found_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "é.jpg").touch()
    (face,) = faces(write(tmp_path / "b.csv", HEADER + "é.jpg,1,2,3,4\n"), tmp_path)
    assert face.path.endswith("é.jpg".encode())


def test_boxes_are_recorded_once_and_go_with_their_job(ledger: Ledger) -> None:
    given = [GivenFace(b"/in/a.jpg", line, 1, 2, 3, 4) for line in (2, 3)] + [
        GivenFace(b"/in/b.jpg", 4, 5, 6, 7, 8, 0.5, 90, [[1.0, 2.0]] * 5)
    ]
    assert record_boxes(ledger.engine, ledger.job.id, given) == 3
    assert record_boxes(ledger.engine, ledger.job.id, given[:1]) == 0
    found = boxes_of(ledger.engine, ledger.job.id, [b"/in/a.jpg", b"/in/b.jpg", b"/in/c.jpg"])
    assert found == {b"/in/a.jpg": given[:2], b"/in/b.jpg": given[2:]}
    remove_job(ledger.engine, ledger.job.id)
    assert ledger.rows("given_boxes") == []


def test_a_load_that_breaks_off_leaves_nothing(ledger: Ledger) -> None:
    def some() -> Iterator[GivenFace]:
        for line in range(6000):
            yield GivenFace(b"/in/a.jpg", line, 1, 2, 3, 4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record_boxes(ledger.engine, ledger.job.id, some())
    assert ledger.rows("given_boxes") == []


def test_given_boxes_are_clipped_and_those_outside_the_original_are_dropped() -> None:
    # A picture of 4000 × 3000: a face in its far corner, one over the border, one outside.
    given = [
        GivenFace(b"a", 2, 3900, 2900, 3990, 2995, 0.5),
        GivenFace(b"a", 3, -50, 100, 60, 200, 0.9, 180, [[1.0, 2.0]] * 5),
        GivenFace(b"a", 4, 4001, 10, 4100, 90, 0.99),
    ]
    found = as_detection(given, (4000, 3000))
    assert found.boxes_xyxy.tolist() == [[0, 100, 60, 200], [3900, 2900, 3990, 2995]]
    assert found.angles is not None
    assert found.angles.tolist() == [180, 0]
    assert found.points5 is not None
    assert found.points5[0].tolist() == [[1, 2]] * 5
    assert np.isnan(found.points5[1]).all()
    assert len(as_detection([], (10, 10))) == 0
