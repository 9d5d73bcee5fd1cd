"""Options of detection and landmarks through the command: turned pictures, given boxes, pictures of points."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import create_engine, text

from tests import oracle
from tests.conftest import Command
from tests.unit.networks import save_answers


def faces_of(maskmill: Command, out: Path) -> dict[str, list[dict[str, Any]]]:
    """File name → exported faces."""
    answer = maskmill("export", "--output", out, "--table", "faces", "--format", "jsonl")
    assert answer.rc == 0, answer.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for line in answer.stdout.splitlines():
        row = json.loads(line)
        found.setdefault(Path(row["image_path"]).name, []).append(row)
    return found


@pytest.fixture(scope="module")
def plain(
    session_command: Command, photographs: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """An output with default options, and its faces as CSV."""
    out = tmp_path_factory.mktemp("plain") / "out"
    assert session_command("run", "--input", photographs, "--output", out, "--quiet").rc == 0
    to = out.parent / "faces.csv"
    assert session_command("export", "--output", out, "--table", "faces", "--to", to).rc == 0
    return out, to


def test_turned_pictures_give_the_same_face_with_its_angle(
    maskmill: Command, astronaut: Image.Image, tmp_path: Path
) -> None:
    pictures = tmp_path / "in"
    pictures.mkdir()
    wide = astronaut.crop((0, 0, 256, 240))
    wide.save(pictures / "upright.png")
    wide.transpose(Image.Transpose.ROTATE_180).save(pictures / "headstand.png")
    wide.transpose(Image.Transpose.ROTATE_90).save(pictures / "lying.png")  # against the clock
    out = tmp_path / "out"
    flags = ["--rotate", "on", "--debug-landmarks", "--save-full", "always", "--crop-style", "buffalo"]
    answer = maskmill("run", "--input", pictures, "--output", out, *flags, "--with-original")
    assert answer.rc == 0, answer.stderr
    facts = oracle.check(out)
    assert facts.states == {"done": 3}
    faces = {name: rows[0] for name, rows in faces_of(maskmill, out).items()}
    assert {name: face["angle"] for name, face in faces.items()} == {
        "upright.png": 0,
        "headstand.png": 180,
        "lying.png": 90,
    }
    there = np.array([faces["upright.png"][name] for name in ("x1", "y1", "x2", "y2")])
    points = np.array(faces["upright.png"]["points_68"])
    # (x, y) of 256 × 240 is (256 − x, 240 − y) on its head, (y, 256 − x) lying.
    headstand = np.array([faces["headstand.png"][name] for name in ("x1", "y1", "x2", "y2")])
    assert headstand == pytest.approx([256, 240, 256, 240] - there[[2, 3, 0, 1]], abs=3)
    assert np.array(faces["headstand.png"]["points_68"]) == pytest.approx([255, 239] - points, abs=4)
    lying = np.array([faces["lying.png"][name] for name in ("x1", "y1", "x2", "y2")])
    assert lying == pytest.approx([there[1], 256 - there[2], there[3], 256 - there[0]], abs=3)
    turned = np.stack([points[:, 1], 255 - points[:, 0]], axis=1)
    assert np.array(faces["lying.png"]["points_68"]) == pytest.approx(turned, abs=4)
    # The crops of all three show the same, level face.
    crops = [
        np.asarray(Image.open(out / f"{name}_buffalo.jpg").convert("L"), dtype=float)
        for name in ("upright", "headstand", "lying")
    ]
    for crop in crops[1:]:
        assert np.corrcoef(crops[0].ravel(), crop.ravel())[0, 1] > 0.9
    with Image.open(out / "lying_landmarks.png") as picture:
        assert picture.size == (240, 256)


def test_the_boxes_of_one_job_make_the_same_files_in_another(
    maskmill: Command, plain: tuple[Path, Path], photographs: Path, tmp_path: Path
) -> None:
    out, boxes = plain
    for given in (boxes, out):
        again = tmp_path / f"from-{given.name}"
        answer = maskmill(
            "run", "--input", photographs, "--output", again, "--detector", "manual", "--boxes", given
        )
        assert answer.rc == 0, answer.stderr
        oracle.check(again)
        assert oracle.tree(again) == oracle.tree(out)


def test_images_without_boxes_are_missed_and_other_boxes_are_refused(
    maskmill: Command, plain: tuple[Path, Path], photographs: Path, tmp_path: Path
) -> None:
    with open(plain[1], newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["image_path"].endswith("grey.png")]
    boxes = tmp_path / "boxes.csv"
    row = rows[0]
    # A second box in the same picture, too small, and one outside.
    lines = [
        f"grey.png,{row['x1']},{row['y1']},{row['x2']},{row['y2']}",
        "grey.png,3,3,6,7",
        "grey.png,300,10,340,60",
        "gone.png,1,2,3,4",
    ]
    boxes.write_text("image_path,x1,y1,x2,y2\n" + "\n".join(lines) + "\n")
    out = tmp_path / "out"
    flags = ["--input", photographs, "--output", out, "--detector", "manual", "--min-face", "6"]
    flags += ["--workers", "0"]
    answer = maskmill("run", *flags, "--boxes", boxes)
    assert answer.rc == 0, answer.stderr
    assert "1 of its images are not there, such as gone.png" in answer.stderr
    facts = oracle.check(out)
    assert {path for path, image in facts.images.items() if image["status"] == "done"} == {b"grey.png"}
    found = faces_of(maskmill, out)["grey.png"]
    # √(3² + 4²) = 5 < 6: kept in SQL as rejected.
    assert [(face["status"], face["face_index"]) for face in found] == [
        ("accepted", 0),
        ("rejected:min_size", None),
    ]
    boxes.write_text(boxes.read_text().replace("3,3,6,7", "3,3,6,8"))
    answer = maskmill("run", *flags, "--boxes", boxes)
    assert answer.rc == 2
    assert "--boxes: this output was made with sha256:" in answer.stderr
    boxes.write_text("image_path,x1,y1,x2,y2\ngrey.png,1,2,3,x\n")
    answer = maskmill("run", *flags, "--boxes", boxes)
    assert (answer.rc, len(answer.stderr.strip().splitlines())) == (2, 1)
    assert f"--boxes {boxes}, line 2: y2 must be a number, got 'x'" in answer.stderr


@pytest.mark.parametrize(
    "flags",
    [["--detector", "manual"], ["--boxes", "x.csv"], ["--rotate", "sideways"], ["--normalization", "grey"]],
)
def test_options_that_do_not_fit_write_nothing(
    maskmill: Command, photographs: Path, tmp_path: Path, flags: list[str]
) -> None:
    answer = maskmill("run", "--input", photographs, "--output", tmp_path / "out", *flags)
    assert answer.rc == 2
    assert not (tmp_path / "out").exists()


def test_a_corner_face_of_a_large_picture_goes_all_the_way(
    maskmill: Command, astronaut: Image.Image, tmp_path: Path
) -> None:
    large = Image.new("RGB", (4000, 3000), "#807060")
    large.paste(astronaut.resize((900, 900)).crop((100, 0, 700, 700)), (3400, 2300))
    large.save(tmp_path / "large.jpg", quality=90)
    out = tmp_path / "out"
    answer = maskmill(
        "run", "--input", tmp_path / "large.jpg", "--output", out, "--crop-style", "buffalo", "--workers", "0"
    )
    assert answer.rc == 0, answer.stderr
    assert set(oracle.tree(oracle_checked(out))) == {b"large_aug0_buffalo.jpg"}
    (face,) = faces_of(maskmill, out)["large.jpg"]
    assert face["x1"] > 3400
    assert face["y1"] > 2300


def oracle_checked(out: Path) -> Path:
    oracle.check(out)
    return out


def test_pictures_of_the_points_are_added_to_a_job_that_is_done(
    maskmill: Command, plain: tuple[Path, Path], photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(plain[0], out)
    engine = create_engine(f"sqlite:///{out}/maskmill.db")
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET output = :o, output_given = :o"), {"o": bytes(out)})
    engine.dispose()
    before = oracle.tree(out)
    answer = maskmill("run", "--input", photographs, "--output", out, "--debug-landmarks")
    assert answer.rc == 0, answer.stderr
    facts = oracle.check(out)
    after = oracle.tree(out)
    assert {path: after[path] for path in before} == before
    assert set(after) - set(before) == {
        image["stem"] + b"_landmarks.png" for image in facts.images.values() if image["status"] == "done"
    }
    # Something is drawn, on a picture of the same size.
    with Image.open(out / "grey_landmarks.png") as drawn, Image.open(photographs / "grey.png") as picture:
        assert drawn.size == picture.size
        difference = np.asarray(drawn.convert("RGB"), dtype=int) - np.asarray(picture.convert("RGB"))
        assert (np.abs(difference).max(axis=2) > 60).sum() > 200


def test_models_in_turn_give_the_same_files(
    maskmill: Command, plain: tuple[Path, Path], photographs: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    flags = [
        "--workers",
        "1",
        "--phases",
        "serial",
        "--chunk-size",
        "3",
        "--device",
        "cpu",
        "--log-file",
        log,
    ]
    answer = maskmill("run", "--input", photographs, "--output", tmp_path / "out", *flags)
    assert answer.rc == 0, answer.stderr
    assert oracle.tree(tmp_path / "out") == oracle.tree(plain[0])
    assert "phases: detector closed before landmarks" in log.read_text()


def test_normalised_landmarks_differ_a_little(
    maskmill: Command, plain: tuple[Path, Path], photographs: Path, tmp_path: Path
) -> None:
    before = np.array(faces_of(maskmill, plain[0])["grey.png"][0]["points_68"])
    out = tmp_path / "out"
    flags = ["--normalization", "clahe", "--no-mask", "--crop-style", "buffalo", "--workers", "0"]
    answer = maskmill("run", "--input", photographs / "grey.png", "--output", out, *flags)
    assert answer.rc == 0, answer.stderr
    apart = np.abs(np.array(faces_of(maskmill, out)["grey.png"][0]["points_68"]) - before)
    assert 0 < apart.max() < 12
    # What is written is the picture as it is.
    with Image.open(out / "grey_original.png") as written, Image.open(photographs / "grey.png") as picture:
        assert (np.asarray(written.convert("L")) == np.asarray(picture)).all()


def test_a_users_network_is_checked_and_used(maskmill: Command, photographs: Path, tmp_path: Path) -> None:
    rows = np.array([[0, 1, 0.9, 0.3, 0.05, 0.6, 0.45]], dtype=np.float32)[None, None]
    path = save_answers(tmp_path / "ssd.onnx", {"out": rows}, {"data": [1, 3, 300, 300]})
    flags = ["--detector", "resnet_ssd", "--detector-model", path, "--workers", "0"]
    answer = maskmill("models", "check", "--detector", "resnet-ssd", "--detector-model", path)
    assert (answer.rc, answer.stdout.strip()) == (0, "resnet-ssd: runs on CPU"), answer.stderr
    out = tmp_path / "out"
    answer = maskmill("run", "--input", photographs / "grey.png", "--output", out, *flags)
    assert answer.rc == 0, answer.stderr
    (face,) = faces_of(maskmill, out)["grey.png"]
    assert [face[name] for name in ("x1", "y1", "x2", "y2")] == pytest.approx([76.8, 12.8, 153.6, 115.2])
    answer = maskmill("models", "check", "--detector", "yunet", "--detector-model", path)
    assert (answer.rc, len(answer.stderr.strip().splitlines())) == (3, 1)
    assert "does not run as a detector of the layout yunet" in answer.stderr
    answer = maskmill("models", "list", "--models", tmp_path)
    assert "resnet-ssd" in answer.stdout
