"""`maskmill segment` through its real entry point: tasks on real workers, rows, pictures, words."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import create_engine, text

from tests.conftest import Command, PrivateRedis, wait_until
from tests.faults.asked import holding, meeting
from tests.oracle import check
from tests.oracle import tree as files
from tests.unit.test_maskers_networks import write_network

RUN = ["--crop-style", "buffalo", "--quiet"]
FACES = {"exif": 1, "grey": 1, "large": 1, "turned": 1, "sub/plain": 1, "sub/two": 2}


@pytest.fixture(scope="module")
def output(session_command: Command, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job of six pictures with seven faces and one without any; tests only add maps to it."""
    folder = tmp_path_factory.mktemp("segment")
    pictures = shutil.copytree(photographs, folder / "in")
    out = folder / "out"
    answer = session_command("run", "--input", pictures, "--output", out, "--workers", 0, *RUN)
    assert answer.rc == 0, answer.stderr
    return out


@contextlib.contextmanager
def opened(out: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(out / "maskmill.db", timeout=30)) as connection, connection:
        yield connection


def maps(out: Path, masker: str) -> dict[tuple[str, int], tuple[bytes, str]]:
    """(relative path, face index) -> (map, matrix)."""
    with opened(out) as connection:
        rows = connection.execute(
            "SELECT i.relative_path, f.face_index, s.map, s.matrix FROM segmentations s"
            " JOIN faces f ON f.id = s.face_id JOIN images i ON i.id = f.image_id WHERE s.masker = ?",
            (masker,),
        ).fetchall()
    return {(path.decode(), index): (packed, matrix) for path, index, packed, matrix in rows}


def segment(maskmill: Command, *arguments: object, rc: int = 0, **env: str) -> dict[str, Any]:
    answer = maskmill("segment", *arguments, "--json", env=env)
    assert answer.rc == rc, answer.stderr
    summary = json.loads(answer.stdout)
    assert isinstance(summary, dict)
    return {**summary, "stderr": answer.stderr}


@pytest.fixture(scope="module")
def alone(session_command: Command, output: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything in one process: the rows and the pictures that others must equal."""
    folder = tmp_path_factory.mktemp("alone")
    found = segment(session_command, output, "--mode", "all", "--output", folder, "--full", "--workers", 0)
    assert (found["faces"], found["updated"], found["skipped"], found["previews"]) == (7, 7, 0, 7)
    return {"maps": maps(output, "extended"), "files": files(folder), "folder": folder}


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_processes_makes_the_same_maps_and_pictures(
    maskmill: Command, output: Path, alone: dict[str, Any], tmp_path: Path, workers: int
) -> None:
    folder = tmp_path / "pictures"
    found = segment(
        maskmill, output, "--mode", "all", "--output", folder, "--full", "--workers", workers,
        MASKMILL_CHUNK_SIZE="1", **(meeting("decode", tmp_path / "met") if workers > 1 else {}),
    )  # fmt: skip
    assert (found["state"], found["images"], found["updated"], found["open"]) == ("done", 6, 7, 0)
    assert maps(output, "extended") == alone["maps"]
    assert files(folder) == alone["files"]
    with opened(output) as connection:
        processes = {row[0] for row in connection.execute("SELECT segmented_by FROM segment_images")}
    assert len(processes) == 1 if workers == 1 else len(processes) >= 2
    assert maskmill.processes() == []
    assert [path.name for path in maskmill.temporary.iterdir() if path.name != ".ses"] == []
    # The job's own results are as they were.
    assert check(output).states == {"done": 6, "missed": 1}


def test_pictures_have_the_names_and_sizes_of_the_spec(photographs: Path, alone: dict[str, Any]) -> None:
    folder: Path = alone["folder"]
    wanted = {
        f"{stem}_{index}_extended_mask_{kind}.png"
        for stem, count in FACES.items()
        for index in range(count)
        for kind in ("preview", "full")
    }
    assert {os.fsdecode(name) for name in alone["files"]} == wanted
    for stem, count in FACES.items():
        for index in range(count):
            with Image.open(folder / f"{stem}_{index}_extended_mask_preview.png") as picture:
                assert (picture.size, picture.mode) == ((768, 256), "RGB")
    # Stored lying on its side: the map lies over the upright picture.
    with Image.open(folder / "exif_0_extended_mask_full.png") as full:
        assert (full.size, full.mode) == ((216, 256), "L")
        assert full.getextrema() == (0, 255)


def test_maps_lie_on_the_faces(output: Path, alone: dict[str, Any]) -> None:
    """The middle of a map is face, its corners are not; and so says the picture at full size."""
    with opened(output) as connection:
        rows = connection.execute(
            "SELECT i.stem, f.face_index, f.points_68 FROM faces f JOIN images i ON i.id = f.image_id"
            " WHERE f.points_68 IS NOT NULL"
        ).fetchall()
    assert len(rows) == 7
    for stem, index, points in rows:
        with Image.open(alone["folder"] / f"{stem.decode()}_{index}_extended_mask_full.png") as picture:
            full = np.asarray(picture)
        found = np.array(json.loads(points)).round().astype(int)
        for point in (30, 33, 48, 54, 57, 36, 45):  # nose, mouth and eyes lie deep inside
            assert full[found[point][1], found[point][0]] == 255
        assert full[0, 0] == full[-1, -1] == 0


def test_missing_writes_the_face_that_has_no_map_and_no_other(
    maskmill: Command, output: Path, alone: dict[str, Any]
) -> None:
    segment(maskmill, output, "--masker", "components", "--workers", 0)
    before = maps(output, "components")
    mark = zlib.compress(bytes(128 * 128))
    with opened(output) as connection:
        of_two = (
            "SELECT s.id FROM segmentations s JOIN faces f ON f.id = s.face_id JOIN images i"
            " ON i.id = f.image_id WHERE s.masker = 'components' AND i.stem = ? AND f.face_index = ?"
        )
        (first,), (second,) = (connection.execute(of_two, (b"sub/two", k)).fetchone() for k in (0, 1))
        connection.execute("UPDATE segmentations SET map = ? WHERE id = ?", (mark, first))
        connection.execute("DELETE FROM segmentations WHERE id = ?", (second,))
    found = segment(maskmill, output, "--masker", "components", "--workers", 0)
    assert (found["faces"], found["updated"], found["skipped"]) == (7, 1, 6)
    expected = dict(before)
    expected["sub/two.JPG", 0] = (mark, before["sub/two.JPG", 0][1])
    assert maps(output, "components") == expected
    assert maps(output, "extended") == alone["maps"]


def test_preview_computes_nothing_and_counts_what_is_not_there(
    maskmill: Command, output: Path, alone: dict[str, Any], tmp_path: Path
) -> None:
    with opened(output) as connection:
        rows = connection.execute("SELECT * FROM segmentations ORDER BY id").fetchall()
    answer = maskmill("segment", output, "--mode", "preview", "--output", tmp_path / "p", "--workers", 1)
    assert answer.rc == 0, answer.stderr
    assert "faces: 7 seen, 0 updated, 0 skipped\n" in answer.stdout
    previews = {name: sha for name, sha in alone["files"].items() if name.endswith(b"preview.png")}
    assert files(tmp_path / "p") == previews
    # Other settings change pictures and nothing else.
    found = segment(
        maskmill, output, "--mode", "preview", "--output", tmp_path / "q", "--blur-kernel", 8,
        "--threshold", 0, "--workers", 0,
    )  # fmt: skip
    assert found["previews"] == 7
    blurred = files(tmp_path / "q")
    assert blurred.keys() == previews.keys() and all(blurred[name] != previews[name] for name in previews)
    path = write_network(tmp_path)
    found = segment(
        maskmill, output, "--masker", f"onnx:{path}", "--mode", "preview", "--output", tmp_path / "r",
        "--workers", 0,
    )  # fmt: skip
    assert (found["faces"], found["updated"], found["skipped"], found["previews"]) == (7, 0, 7, 0)
    assert "7 faces have no map" in found["stderr"]
    assert files(tmp_path / "r") == {}
    with opened(output) as connection:
        assert connection.execute("SELECT * FROM segmentations ORDER BY id").fetchall() == rows


def test_all_takes_a_snapshot_of_what_it_overwrites(
    maskmill: Command, output: Path, alone: dict[str, Any]
) -> None:
    before = set(output.glob("segmentations_*"))
    segment(maskmill, output, "--mode", "all", "--workers", 0)
    (path,) = set(output.glob("segmentations_*")) - before
    assert re.fullmatch(r"segmentations_extended_\d{8}T\d{6}Z(_\d+)?\.json", path.name)
    snapshot = json.loads(path.read_text())
    assert (snapshot["version"], snapshot["masker"]) == (1, "extended")
    saved = {
        (row["image_path"].removeprefix(str(output.parent / "in") + "/"), row["face_index"]): (
            base64.b64decode(row["map"]),
            row["matrix"],
        )
        for row in snapshot["segmentations"]
    }
    assert saved == {key: (packed, json.loads(matrix)) for key, (packed, matrix) in alone["maps"].items()}


def test_a_snapshot_is_given_back(maskmill: Command, output: Path, tmp_path: Path) -> None:
    segment(maskmill, output, "--mode", "all", "--workers", 0)
    before = maps(output, "extended")
    there = set(output.glob("segmentations_*"))
    segment(maskmill, output, "--mode", "all", "--workers", 0)
    (path,) = set(output.glob("segmentations_*")) - there
    with opened(output) as connection:
        connection.execute("UPDATE segmentations SET map = x'00', matrix = '[]' WHERE masker = 'extended'")
        connection.execute("DELETE FROM segmentations WHERE id = (SELECT min(id) FROM segmentations)")
    answer = maskmill("segment", output, "--restore", path, "--json")
    assert answer.rc == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["masker"], told["maps"], told["unknown"], answer.stderr) == ("extended", 7, 0, "")
    assert maps(output, "extended") == before

    def refused(content: str, *more: object) -> str:
        other = tmp_path / "other.json"
        other.write_text(content)
        answer = maskmill("segment", output, "--restore", other, *more)
        assert (answer.rc, answer.stdout) == (2, ""), answer.stderr
        assert maps(output, "extended") == before
        return str(answer.stderr)

    snapshot = json.loads(path.read_text())
    assert "of job 00000000" in refused(json.dumps({**snapshot, "job": "00000000"}))
    assert "not JSON" in refused("{")
    assert "not one of version 1" in refused("[]")
    damaged = [*snapshot["segmentations"][:-1], {**snapshot["segmentations"][-1], "map": "AAAA"}]
    assert "map 7 of 7 is damaged" in refused(json.dumps({**snapshot, "segmentations": damaged}))
    assert "leave out --input" in refused(path.read_text(), "--output", tmp_path / "p")
    gone = [{**snapshot["segmentations"][0], "image_path": "gone.jpg"}, *snapshot["segmentations"][1:]]
    less = tmp_path / "less.json"
    less.write_text(json.dumps({**snapshot, "segmentations": gone}))
    answer = maskmill("segment", output, "--restore", less)
    assert answer.stderr == "maskmill: 1 maps belong to faces that the job does not have\n"
    assert "6 maps by extended" in answer.stdout


def test_maps_are_exported(maskmill: Command, output: Path, alone: dict[str, Any]) -> None:
    answer = maskmill("export", "--output", output, "--table", "segmentations", "--format", "jsonl")
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    found = {row["face_index"]: row for row in rows if row["image_path"].endswith("two.JPG")}
    packed, matrix = alone["maps"]["sub/two.JPG", 1]
    assert base64.b64decode(found[1]["map"]) == packed
    assert found[1]["matrix"] == json.loads(matrix)
    assert (found[1]["side"], found[1]["image_width"], found[1]["image_height"]) == (128, 400, 240)
    head = maskmill("export", "--output", output, "--table", "segmentations").stdout.splitlines()[0]
    assert head == "image_path,face_index,masker,side,matrix,image_width,image_height,map"


def test_inputs_confine_it_and_images_without_rows_are_counted(
    maskmill: Command, output: Path, tmp_path: Path
) -> None:
    pictures = output.parent / "in"
    shutil.copy(pictures / "grey.png", tmp_path / "stranger.png")
    arguments = ["--masker", f"onnx:{write_network(tmp_path, scale=1 / 255)}", "--workers", 0]
    # Inside the output JOB may be left out; --input alone finds its job there.
    answer = maskmill(
        "segment", "--input", pictures / "sub", "--input", tmp_path / "stranger.png", "--json", *arguments,
        cwd=output,
    )  # fmt: skip
    assert answer.rc == 0, answer.stderr
    summary = json.loads(answer.stdout)
    assert (summary["images"], summary["updated"], summary["unknown"]) == (2, 3, 1)
    assert "1 images of --input have no row" in answer.stderr
    assert "stranger.png" in answer.stderr
    found = segment(maskmill, output, *arguments)
    assert (found["images"], found["faces"], found["updated"]) == (6, 7, 4)
    made = maps(output, summary["masker"])
    assert len(made) == 7 and summary["masker"].startswith("onnx-face-")


def test_a_network_makes_the_same_maps_in_workers(maskmill: Command, output: Path, tmp_path: Path) -> None:
    path = write_network(tmp_path, name="other.onnx", side=64, scale=1 / 255, region=1.5)
    found = segment(maskmill, output, "--masker", f"onnx:{path}", "--workers", 2)
    assert found["updated"] == 7
    made = maps(output, found["masker"])
    again = segment(maskmill, output, "--masker", f"onnx:{path}", "--workers", 0, "--mode", "all")
    assert again["updated"] == 7
    assert maps(output, found["masker"]) == made
    # Bright where the picture is bright: no two maps are alike, and none is empty.
    assert len({packed for packed, _ in made.values()}) == 7


def test_a_face_without_landmarks_is_left_out_and_counted(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert maskmill("run", "--input", photographs / "sub", "--output", out, "--workers", 0, *RUN).rc == 0
    with opened(out) as connection:
        connection.execute("UPDATE faces SET points_68 = NULL WHERE face_index = 1")
    answer = maskmill("segment", out, "--workers", 1)
    assert answer.rc == 0
    assert "faces: 3 seen, 2 updated, 1 skipped (1 without landmarks)" in answer.stdout
    assert "1 faces have no landmarks" in answer.stderr


def test_only_what_needs_pixels_reads_the_picture(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    pictures, out = shutil.copytree(photographs / "sub", tmp_path / "in"), tmp_path / "out"
    assert maskmill("run", "--input", pictures, "--output", out, "--workers", 0, *RUN).rc == 0
    (pictures / "plain.tiff").unlink()
    assert segment(maskmill, out, "--workers", 0)["updated"] == 3
    found = segment(maskmill, out, "--workers", 1, "--output", tmp_path / "p", rc=1)
    assert (found["state"], found["failed"], found["previews"]) == ("done", 1, 2)
    answer = maskmill("segment", out, "--workers", 0, "--output", tmp_path / "p")
    assert answer.rc == 1
    assert "failed, vanished: plain.tiff" in answer.stdout
    # A failed segmentation is none of the job.
    assert check(out).states == {"done": 2}


@pytest.mark.parametrize(
    ("arguments", "rc", "words"),
    [
        (["--masker", "hull"], 2, "components, extended or onnx:PATH"),
        (["--masker", "onnx:/nowhere/x.onnx"], 3, "cannot be read"),
        (["--mode", "preview"], 2, "--mode preview needs --output DIR"),
        (["--full"], 2, "--full needs --output DIR"),
        (["--mode", "some"], 2, "all"),
        (["--threshold", "51"], 2, "0<=x<=50"),
        (["--blur-kernel", "9"], 2, "0<=x<=8"),
        (["--input", "/nowhere"], 2, "no such file or folder"),
    ],
)
def test_impossible_requests_are_one_sentence_and_write_nothing(
    maskmill: Command, output: Path, arguments: list[str], rc: int, words: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if "maskmill.db" not in path.name}
    answer = maskmill("segment", output, *arguments)
    assert (answer.rc, answer.stdout) == (rc, "")
    assert words in answer.stderr and "Traceback" not in answer.stderr
    after = {path: path.stat().st_mtime_ns for path in output.rglob("*") if "maskmill.db" not in path.name}
    assert after == before


def test_what_is_no_output_and_no_job_is_named(maskmill: Command, output: Path, tmp_path: Path) -> None:
    answer = maskmill("segment", tmp_path)
    assert (answer.rc, "no output of `maskmill run`" in answer.stderr) == (2, True)
    answer = maskmill("segment", "0badc0de", cwd=output)
    assert (answer.rc, "there is no job" in answer.stderr) == (2, True)


def test_an_interrupted_or_killed_one_is_continued(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    pictures, out = tmp_path / "in", tmp_path / "out"
    pictures.mkdir()
    for number in range(12):
        shutil.copy(photographs / "large.webp", pictures / f"{number:02}.webp")
    assert maskmill("run", "--input", pictures, "--output", out, "--workers", 2, *RUN).rc == 0
    arguments = ["segment", out, "--output", tmp_path / "p", "--workers", 2, "--json"]

    def done() -> int:
        with opened(out) as connection:
            query = "SELECT count(*) FROM segment_images WHERE status = 'done'"
            return int(connection.execute(query).fetchone()[0])

    before = 0
    for number in (signal.SIGINT, signal.SIGKILL):
        # Two processes do one image each and are held over the next.
        released = tmp_path / f"released{number}"
        env = {"MASKMILL_CHUNK_SIZE": "1", **holding("decode", released, skip=1)}
        process = maskmill.start(*arguments, env=env)
        wait_until(lambda before=before: done() >= before + 2, "the first images")  # type: ignore[misc]
        process.send_signal(number)
        released.touch()
        answer = maskmill.end_of(process)
        assert answer.rc == (130 if number == signal.SIGINT else -signal.SIGKILL)
        before = done()
        assert 2 <= before < 12
    with opened(out) as connection:
        kept = connection.execute("SELECT id, made_at FROM segmentations ORDER BY id").fetchall()
    found = segment(maskmill, *arguments[1:-1])
    assert (found["state"], found["faces"], found["updated"], found["previews"]) == ("done", 12, 12, 12)
    with opened(out) as connection:
        assert connection.execute("SELECT count(*) FROM segment_runs").fetchone() == (1,)
        rows = connection.execute("SELECT id, made_at FROM segmentations ORDER BY id").fetchall()
    # What was done before was not done again.
    assert set(kept) <= set(rows) and len(rows) == 12
    assert len(files(tmp_path / "p")) == 12
    assert maskmill.processes() == []


@pytest.mark.soak
def test_on_redis_and_postgresql_workers_make_the_same_maps(
    maskmill: Command,
    output: Path,
    alone: dict[str, Any],
    private_redis: PrivateRedis,
    postgres_url: str,
    tmp_path: Path,
) -> None:
    env = {"MASKMILL_BROKER_URL": private_redis.url, "MASKMILL_DATABASE_URL": postgres_url}
    assert maskmill("db", "upgrade", env=env).rc == 0
    worker = maskmill.start("worker", "--workers", 2, env=env)
    pictures, out = output.parent / "in", tmp_path / "out"
    answer = maskmill("enqueue", "--input", pictures, "--output", out, "--wait", "--json", *RUN[:2], env=env)
    assert answer.rc == 0, answer.stderr
    job = json.loads(answer.stdout)["job"]
    found = segment(maskmill, job, "--wait", "--output", tmp_path / "p", "--full", **env)
    assert (found["state"], found["faces"], found["updated"], found["previews"]) == ("done", 7, 7, 7)
    assert files(tmp_path / "p") == alone["files"]
    engine = create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT i.relative_path, f.face_index, s.map FROM segmentations s"
                " JOIN faces f ON f.id = s.face_id JOIN images i ON i.id = f.image_id"
            )
        ).all()
    engine.dispose()
    made = {(bytes(row[0]).decode(), row[1]): bytes(row[2]) for row in rows}
    assert made == {key: packed for key, (packed, _) in alone["maps"].items()}
    assert (private_redis.client.llen("augment"), private_redis.client.hlen("unacked")) == (0, 0)
    # The same again: nothing to do; without --wait it returns at once.
    found = segment(maskmill, job, **env)
    assert (found["updated"], found["kept"], found["open"]) == (0, 7, 0)
    shown = json.loads(maskmill("status", job, "--json", env=env).stdout)["segmentations"]
    assert [one["masker"] for one in shown] == ["extended"]
    worker.send_signal(signal.SIGTERM)
    maskmill.end_of(worker)


@pytest.fixture(scope="module")
def cropped(session_command: Command, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output with PNG crops in two styles and of two sizes of squares, of three faces."""
    out = tmp_path_factory.mktemp("cropped") / "out"
    answer = session_command(
        "run", "--input", photographs / "sub", "--output", out, "--workers", 0, "--quiet", "--with-original",
        "--crop-style", "buffalo", "--crop-style", "scale_shift", "--crop-size", 256, "--crop-format", "png",
    )  # fmt: skip
    assert answer.rc == 0, answer.stderr
    return out


def test_crops_are_segmented_as_the_faces_they_are(maskmill: Command, cropped: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(cropped, tmp_path / "crops", ignore=shutil.ignore_patterns("maskmill.db*"))
    Image.new("RGB", (64, 64)).save(folder / "stranger.png")
    arguments = [cropped, "--input-type", "faces", "--input", folder]
    found = segment(maskmill, *arguments, "--output", tmp_path / "p", "--workers", 2)
    # Three faces, each in two variants and two styles; the black picture is no crop of ours.
    assert (found["faces"], found["updated"], found["previews"], found["unknown"]) == (3, 3, 12, 1)
    assert "unknown_face" in found["stderr"]
    names = {os.fsdecode(name) for name in files(tmp_path / "p")}
    assert "two_aug0_face1_buffalo_1_extended_mask_preview.png" in names and len(names) == 12
    for name in names:
        with Image.open(tmp_path / "p" / name) as picture:
            assert picture.size == (768, 256)
    # The `buffalo` crop of 256 pixels is the square that previews of frames show.
    segment(maskmill, cropped, "--mode", "preview", "--output", tmp_path / "f", "--workers", 0)
    for stem, crop, index in (("plain", "plain", 0), ("two", "two_face1", 1)):
        shown = np.asarray(Image.open(tmp_path / "f" / f"{stem}_{index}_extended_mask_preview.png"))
        of_crop = np.asarray(Image.open(tmp_path / "p" / f"{crop}_buffalo_{index}_extended_mask_preview.png"))
        assert np.array_equal(shown, of_crop)
    # A map is one of the face: nothing is missing any more.
    assert segment(maskmill, *arguments, "--workers", 0)["kept"] == 3


def test_a_network_sees_the_unmasked_crop(maskmill: Command, cropped: Path, tmp_path: Path) -> None:
    """The map of the crop is that of the frame, but for what is sampled twice."""
    path = write_network(tmp_path, side=128, scale=1 / 255)
    masker = ["--masker", f"onnx:{path}", "--workers", 0]
    name = segment(maskmill, cropped, *masker)["masker"]
    of_frames = maps(cropped, name)
    with opened(cropped) as connection:
        connection.execute("DELETE FROM segmentations WHERE masker = ?", (name,))
    found = segment(maskmill, cropped, *masker, "--input-type", "faces", "--input", cropped)
    assert (found["updated"], found["skipped"]) == (3, 0)
    of_crops = maps(cropped, name)
    assert of_crops.keys() == of_frames.keys()
    for key, (packed, matrix) in of_crops.items():
        other, other_matrix = of_frames[key]
        np.testing.assert_allclose(json.loads(matrix), json.loads(other_matrix), atol=1e-3)
        one, two = (np.frombuffer(zlib.decompress(data), np.uint8).astype(int) for data in (packed, other))
        assert np.abs(one - two).mean() < 3


def test_a_file_is_no_folder_of_crops(maskmill: Command, cropped: Path, photographs: Path) -> None:
    answer = maskmill("segment", cropped, "--input-type", "faces", "--input", photographs / "grey.png")
    assert (answer.rc, "a folder of face crops is expected, got a file" in answer.stderr) == (2, True)
    answer = maskmill("segment", cropped, "--input-type", "faces")
    assert (answer.rc, "--input-type faces needs --input DIR" in answer.stderr) == (2, True)
