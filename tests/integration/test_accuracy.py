"""The photographs with ground truth, through the whole pipeline."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Command
from tests.oracle import check, tree

Box = tuple[float, float, float, float]


@pytest.fixture(scope="module")
def output(session_command: Command, shared_faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("faces") / "out"
    answer = session_command(
        "run", "--input", shared_faces, "--output", out, "--n-augmentations", 3, "--workers", 2
    )
    assert answer.rc == 0, answer.stderr
    return out


@pytest.fixture(scope="module")
def found(session_command: Command, output: Path) -> dict[str, list[dict[str, str]]]:
    """File name → accepted faces, as `export --table faces` gives them."""
    answer = session_command("export", "--output", output, "--table", "faces")
    assert answer.rc == 0, answer.stderr
    faces: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(answer.stdout, newline="")):
        if row["status"] == "accepted":
            faces.setdefault(Path(row["image_path"]).name, []).append(row)
    return faces


def truth(folder: Path) -> list[tuple[str, Box, np.ndarray]]:
    """(file name, box, 68 points) of every face in the two ground-truth files."""
    faces = []
    for name in ("testing_with_face_landmarks.xml", "training_with_face_landmarks.xml"):
        for image in ET.parse(folder / name).iter("image"):
            for box in image.iter("box"):
                left, top, width, height = (
                    float(box.get(key, "")) for key in ("left", "top", "width", "height")
                )
                parts = sorted(box.iter("part"), key=lambda part: int(part.get("name", "")))
                points = np.array([[float(p.get("x", "")), float(p.get("y", ""))] for p in parts])
                faces.append((image.get("file", ""), (left, top, left + width, top + height), points))
    return faces


def iou(a: Box, b: Box) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


def box_of(row: dict[str, str]) -> Box:
    return float(row["x1"]), float(row["y1"]), float(row["x2"]), float(row["y2"])


def test_the_output_is_sound_and_has_three_variants_of_every_face(
    output: Path, found: dict[str, list[dict[str, str]]]
) -> None:
    facts = check(output)
    assert facts.states["done"] + facts.states["missed"] == 12
    undrawn = sum(mask["reason"] is not None for masks in facts.masks.values() for mask in masks)
    assert sum(map(len, facts.masks.values())) == 3 * sum(map(len, found.values()))
    assert len(tree(output)) == 3 * (3 * sum(map(len, found.values())) - undrawn)


def test_nearly_all_faces_are_found_and_none_on_dogs(
    shared_faces: Path, found: dict[str, list[dict[str, str]]]
) -> None:
    boxes = truth(shared_faces)
    assert len(boxes) == 43
    hits = sum(any(iou(box, box_of(row)) >= 0.4 for row in found.get(name, [])) for name, box, _ in boxes)
    assert hits >= 0.97 * 43
    assert "dogs.jpg" not in found


def test_landmarks_lie_within_a_twentieth_of_the_eye_distance(
    shared_faces: Path, found: dict[str, list[dict[str, str]]]
) -> None:
    errors = []
    for name, box, points in truth(shared_faces):
        rows = [row for row in found.get(name, []) if iou(box, box_of(row)) >= 0.4]
        if rows:
            best = max(rows, key=lambda row: iou(box, box_of(row)))
            guess = np.array(json.loads(best["points_68"]))
            assert guess.shape == (68, 2)
            eye_distance = np.linalg.norm(points[36] - points[45])
            errors.append(np.linalg.norm(guess - points, axis=1).mean() / eye_distance)
    assert np.mean(errors) <= 0.05


def test_faces_are_numbered_from_left_to_right(found: dict[str, list[dict[str, str]]]) -> None:
    for rows in found.values():
        assert [int(row["face_index"]) for row in rows] == list(range(len(rows)))
        centres = [(box_of(row)[0] + box_of(row)[2], box_of(row)[1] + box_of(row)[3]) for row in rows]
        assert centres == sorted(centres)
