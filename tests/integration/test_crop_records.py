"""Crops that say where they come from: written by a job, read by others, and made into rows again."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from common.metadata import update_record
from tests.conftest import Command
from tests.oracle import check, tree_hash
from tests.unit.records import write_crop, write_picture

INPUTS = ("exif.jpg", "sub/two.JPG")
FLAGS = [
    "--crop-format",
    "png",
    "--crop-format",
    "tif",
    "--with-original",
    "--n-augmentations",
    2,
    "--seed",
    5,
]
# ArcFace's five points at side 112 (the spec's table).
TEMPLATE = [
    [38.2946, 51.6963],
    [73.5318, 51.5014],
    [56.0252, 71.7366],
    [41.5493, 92.3655],
    [70.7299, 92.2041],
]


def run(command: Command, photographs: Path, out: Path, *flags: object) -> Path:
    given = [word for name in INPUTS for word in ("--input", photographs / name)]
    answer = command("run", *given, "--output", out, *FLAGS, *flags)
    assert answer.rc == 0, answer.stderr
    assert "Warning" not in answer.stderr
    return out


@pytest.fixture(scope="module")
def written(session_command: Command, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a job; to be read only."""
    return run(session_command, photographs, tmp_path_factory.mktemp("records") / "out", "--workers", 2)


@pytest.fixture(scope="module")
def tables(written: Path, session_command: Command) -> dict[str, list[dict[str, Any]]]:
    """What the job that wrote the crops exports."""
    return {name: exported(session_command, written, name) for name in ("faces", "artifacts")}


def record_in(path: Path) -> dict[str, Any]:
    """The provenance in a crop, as Pillow or tifffile reads it."""
    if path.suffix == ".png":
        with Image.open(path) as picture:
            text = picture.text["maskmill"]  # type: ignore[attr-defined]
    else:
        with tifffile.TiffFile(path) as found:
            text = found.pages.first.description
    record = json.loads(text)
    assert record.pop("maskmill") == 1
    assert list(record) == ["provenance"]
    return dict(record["provenance"])


def exported(command: Command, out: Path, table: str, *flags: object) -> list[dict[str, Any]]:
    answer = command("export", *(flags or ("--output", out)), "--table", table, "--format", "jsonl")
    assert answer.rc == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_every_crop_says_what_sql_says(written: Path, tables: dict[str, Any]) -> None:
    facts = check(written)
    crops = [row for rows in facts.artifacts.values() for row in rows if row["kind"] == "crop"]
    assert len(crops) == 3 * 3 * 3 * 2, "3 faces, 3 variants, 3 styles, 2 formats"
    faces = {(row["image_path"], row["face_index"]): row for row in tables["faces"]}
    rows = {row["output_path"]: row for row in tables["artifacts"]}
    for row in crops:
        path = written / os.fsdecode(row["path"])
        record, logged = record_in(path), rows[str(path)]
        face = faces[record["image_path"], record["face_index"]]
        assert record["image_path"] == logged["image_path"]
        assert record["box"] == [face[name] for name in ("x1", "y1", "x2", "y2")]
        assert (record["points_5"], record["points_68"]) == (face["points_5"], face["points_68"])
        assert (record["score"], record["ordinal"]) == (face["score"], face["ordinal"])
        assert record["image_size"] == [logged["width"], logged["height"]]
        assert (record["variant"], record["crop_style"]) == (logged["augmentation"], logged["crop_style"])
        assert (record["seed"], record["crop_size"], record["options"]) == (5, 112, {})
        check_mask(record, logged)


def check_mask(record: dict[str, Any], logged: dict[str, Any]) -> None:
    if record["variant"] is None:
        assert record["mask"] is None
        return
    mask = record["mask"]
    names = {"kind": "mask_kind", "y_offset": "mask_y_offset", "rotation_angle": "mask_rotation_angle"}
    names |= {name: name for name in ("mask_type", "mask_color", "wear", "yaw", "pitch", "roll")}
    assert {name: mask[name] for name in names} == {name: logged[one] for name, one in names.items()}
    assert mask["texture"] == logged["mask_texture"]
    assert mask["box"] == json.loads(logged["mask_box"])
    assert mask["polygon"] == json.loads(logged["mask_polygon"])


def test_the_matrix_maps_the_points_to_the_template(written: Path) -> None:
    record = record_in(written / "exif_buffalo.png")
    source = np.array(record["points_5"])
    # Least squares over a, b, tx, ty, as the spec writes them: x' = ax - by + tx, y' = bx + ay + ty.
    rows = [row for x, y in source for row in ([x, -y, 1, 0], [y, x, 0, 1])]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows), np.array(TEMPLATE).ravel(), rcond=None)[0]
    assert np.allclose(record["matrix"], [[a, -b, tx], [b, a, ty]], atol=1e-4)


def test_png_and_tiff_have_the_same_pixels_and_record(written: Path) -> None:
    pairs = [(path, path.with_suffix(".tif")) for path in written.rglob("*_buffalo.png")]
    assert len(pairs) == 3 * 3
    for png, tiff in pairs:
        assert record_in(png) == record_in(tiff)
        with Image.open(png) as picture:
            assert np.array_equal(np.asarray(picture), tifffile.imread(tiff))


def test_another_run_gives_the_same_bytes(
    written: Path, maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    """Another job name, another output, another number of processes."""
    assert tree_hash(run(maskmill, photographs, tmp_path / "again", "--workers", 0)) == tree_hash(written)


# --- ingest-faces -------------------------------------------------------------------------------------


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """The crops alone, in another place, and two pictures that are none."""
    copy = tmp_path / "crops"
    shutil.copytree(written, copy, ignore=shutil.ignore_patterns("maskmill.db*", "logs.csv", "*.txt"))
    write_picture(copy / "foreign.png", 1)
    write_picture(copy / "sub/foreign.jpg", 1)
    return copy


COUNTED = {"images": 2, "faces": 3, "masks": 6, "artifacts": 54}
KEPT = (
    *("image_path", "mask_type", "mask_color", "augmentation", "face_index", "crop_style", "mask_y_offset"),
    *("mask_rotation_angle", "seed", "width", "height", "mask_kind", "artifact", "size", "sha256", "wear"),
    *("yaw", "pitch", "roll", "mask_texture", "mask_box", "mask_polygon", "status"),
)


def check_rebuilt(
    command: Command, tables: dict[str, Any], written: Path, folder: Path, *where: object
) -> None:
    """Faces and artifacts are as the job that wrote the crops had them."""
    assert exported(command, folder, "faces", *where) == tables["faces"]
    was = {row["output_path"]: row for row in tables["artifacts"] if row["output_path"]}
    now = exported(command, folder, "artifacts", *where)
    assert len(now) == len(was)
    for row in now:
        before = was[str(written / Path(row["output_path"]).relative_to(folder))]
        assert {name: row[name] for name in KEPT} == {name: before[name] for name in KEPT}


def test_rows_are_rebuilt_from_the_crops_alone(
    written: Path, tables: dict[str, Any], folder: Path, maskmill: Command
) -> None:
    ingest = ["ingest-faces", folder, "--output", folder, "--json"]
    first = maskmill(*ingest)
    assert first.rc == 0, first.stderr
    answer = json.loads(first.stdout)
    assert (answer["crops"], answer["added"]) == (54, COUNTED)
    assert answer["skipped"] == {"unknown_face": 2}
    check_rebuilt(maskmill, tables, written, folder)
    status = json.loads(maskmill("status", "--output", folder, "--json").stdout)
    assert (status["state"], status["images"]["done"], status["faces"], status["artifacts"]) == (
        "done",
        2,
        3,
        54,
    )
    # Again it changes nothing but the checksum of a crop that was changed.
    crop = folder / "exif_buffalo.png"
    update_record(crop, lambda record: {**(record or {}), "user": {"split": "train"}})
    assert set(json.loads(maskmill(*ingest).stdout)["added"].values()) == {0}
    assert maskmill("export", "--output", folder).rc == 0
    with open(folder / "logs.csv", newline="", encoding="utf-8") as stream:
        sizes = {row["output_path"]: int(row["size"]) for row in csv.DictReader(stream)}
    assert len(sizes) == 54
    assert sizes[str(crop)] == crop.stat().st_size
    refused = maskmill("run", "--input", written, "--output", folder, *FLAGS)
    assert (refused.rc, "ingest-faces" in refused.stderr) == (2, True)


def test_rows_are_rebuilt_in_postgresql(
    written: Path, tables: dict[str, Any], folder: Path, maskmill: Command, postgres_url: str
) -> None:
    where = ["--database-url", postgres_url.replace("postgresql://", "postgresql+psycopg://")]
    assert maskmill("db", "upgrade", *where).rc == 0
    answer = maskmill("ingest-faces", folder, *where, "--json")
    assert json.loads(answer.stdout)["added"] == COUNTED
    check_rebuilt(maskmill, tables, written, folder, *where)


def test_a_job_that_has_its_rows_gets_no_more(written: Path, maskmill: Command) -> None:
    before = check(written)
    answer = json.loads(maskmill("ingest-faces", written, "--output", written, "--json").stdout)
    assert (answer["job"], answer["crops"]) == (before.job["name"], 54)
    assert set(answer["added"].values()) == {0}
    assert check(written) == before


def test_a_folder_without_crops_is_refused_and_nothing_is_written(maskmill: Command, tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    path = write_picture(folder / "foreign.png", 1)
    for given, words in ((folder, "1 pictures skipped: unknown_face"), (path, "got a file")):
        answer = maskmill("ingest-faces", given, "--output", tmp_path / "db")
        assert (answer.rc, answer.stderr.count("\n"), words in answer.stderr) == (2, 1, True), answer.stderr
    assert not (tmp_path / "db").exists()


# --- meta ---------------------------------------------------------------------------------------------


def test_meta_shows_and_changes_records(written: Path, maskmill: Command, tmp_path: Path) -> None:
    for name in ("exif_buffalo.png", "exif_buffalo.tif"):
        crop = tmp_path / name
        shutil.copy(written / name, crop)
        before = record_in(crop)
        answer = maskmill(
            "meta", "update", crop, "--set", "split=train", "--set", "note=a=b ü", "--set", "old=1"
        )
        assert answer.rc == 0, answer.stderr
        assert maskmill("meta", "update", crop, "--set", "split=test", "--unset", "old").rc == 0
        shown = json.loads(maskmill("meta", "show", "--json", crop).stdout)
        assert shown["record"] == {"provenance": before, "user": {"split": "test", "note": "a=b ü"}}
        assert (shown["format"], shown["width"], shown["height"]) == (
            {".png": "PNG", ".tif": "TIFF"}[crop.suffix],
            112,
            112,
        )
        text = maskmill("meta", "show", crop).stdout
        assert 'provenance.crop_style: "buffalo"' in text
        assert 'user.split: "test"' in text
        with Image.open(crop) as now, Image.open(written / name) as then:
            assert np.array_equal(np.asarray(now), np.asarray(then))


def test_meta_shows_the_others_where_one_is_bad(maskmill: Command, tmp_path: Path) -> None:
    crop = write_crop(tmp_path / "a.png")
    (tmp_path / "broken.png").write_bytes(crop.read_bytes()[:200])
    names = [tmp_path / "broken.png", crop, write_picture(tmp_path / "a.jpg", 1), tmp_path / "absent.png"]
    shown = maskmill("meta", "show", "--json", *names)
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert shown.rc == 1
    assert [line.get("error") for line in lines] == ["truncated", None, None, "vanished"]
    assert lines[2]["record"] is None
    refused = maskmill("meta", "update", crop, "--set", "seed=5")
    assert (refused.rc, refused.stderr.count("\n")) == (2, 1)
