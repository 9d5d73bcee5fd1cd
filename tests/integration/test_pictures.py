"""What is on the pictures: crops that register, masks as asked for."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from tests.conftest import Command
from tests.oracle import check
from tests.unit.test_masks_compress import fine_detail, grid_xy


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def rows_of(out: Path) -> list[dict[str, str]]:
    with open(out / "logs.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def everything(session_command: Command, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("everything") / "out"
    flags = ["--with-original", "--labels", "--save-full", "always", "--n-augmentations", 2, "--workers", 2]
    answer = session_command("run", "--input", photographs, "--output", out, *flags)
    assert answer.rc == 0, answer.stderr
    check(out)
    return out


def test_outside_the_mask_a_variant_is_the_original_but_for_its_shadow(everything: Path) -> None:
    compared = 0
    for label in sorted(everything.rglob("*_mask.png")):
        stem = str(label).removesuffix("_mask.png")
        with Image.open(label) as picture:
            assert picture.mode == "L"
            alpha = np.asarray(picture)
        original = pixels(Path(stem.rsplit("_aug", 1)[0] + "_original.png"))
        masked = pixels(Path(stem + "_masked.png"))
        assert alpha.shape == masked.shape[:2] == original.shape[:2]
        assert alpha.max() > 200
        # Beside a mask there is at most its shadow: darker, and smaller than the mask itself.
        shadow = (original != masked).any(axis=2) & (alpha == 0)
        assert (masked[shadow] <= original[shadow]).all()
        assert shadow.sum() < (alpha > 0).sum()
        # Where the mask is opaque the picture has changed.
        assert np.abs(original - masked)[alpha > 200].mean() > 5
        compared += 1
    assert compared == 12


def matrix(style: str, face: dict[str, list[list[float]]]) -> np.ndarray:
    """The crop's (2, 3) matrix at side 112, by the formulas and templates of the spec."""
    if style == "buffalo":
        source = np.array(face["points_5"])
        target = np.array(
            [
                [38.2946, 51.6963],
                [73.5318, 51.5014],
                [56.0252, 71.7366],
                [41.5493, 92.3655],
                [70.7299, 92.2041],
            ]
        )
    else:
        scale, down = {"original_cropping": (1, 0), "scale_shift": (0.85, -0.085)}[style]
        template = np.array(
            [[0.363784947, 0.177946862], [0.618963134, 0.172778126], [0.50020396, 0.750584384]]
        )
        source = np.array(face["points_68"])[[39, 42, 57]]
        target = ((template - 0.5) * scale + 0.5 + [0, down]) * 112
    if style == "original_cropping":
        return np.linalg.solve(np.column_stack([source, np.ones(3)]), target).T
    s, d = source - source.mean(axis=0), target - target.mean(axis=0)
    a = (s * d).sum() / (s * s).sum()
    b = (s[:, 0] * d[:, 1] - s[:, 1] * d[:, 0]).sum() / (s * s).sum()
    turn = np.array([[a, -b], [b, a]])
    return np.column_stack([turn, target.mean(axis=0) - turn @ source.mean(axis=0)])


@pytest.mark.parametrize("style", ["buffalo", "original_cropping", "scale_shift"])
def test_crops_of_variants_register_with_those_of_the_original(
    everything: Path, session_command: Command, style: str
) -> None:
    answer = session_command("export", "--output", everything, "--table", "faces", "--format", "jsonl")
    faces = [json.loads(line) for line in answer.stdout.splitlines()]
    several = {one["image_path"] for one in faces if one["face_index"] == 1}
    for face in faces:
        picture = Path(face["image_path"])
        folder = everything / "sub" if picture.parent.name == "sub" else everything
        number = f"_face{face['face_index']}" if face["image_path"] in several else ""
        original = pixels(folder / f"{picture.stem}{number}_{style}.jpg")
        full = pixels(folder / f"{picture.stem}_original.png").astype(np.uint8)
        warped = cv2.warpAffine(full, matrix(style, face), (112, 112))
        # The crop is the original seen through the matrix of the spec, but for JPEG and rounding.
        assert np.abs(warped - original).mean() < 4
        for variant in (0, 1):
            crop = pixels(folder / f"{picture.stem}_aug{variant}{number}_{style}.jpg")
            with Image.open(folder / f"{picture.stem}_aug{variant}_mask.png") as label:
                alpha = np.asarray(label)
            covered = cv2.warpAffine((alpha > 0).astype(np.uint8) * 255, matrix(style, face), (112, 112)) > 0
            # A JPEG block of 16 x 16 changes as a whole, and its colour bleeds into the next pixel.
            near = cv2.dilate(covered.astype(np.uint8), np.ones((37, 37))) > 0
            assert (np.abs(crop - original)[~near] <= 2).all()
            assert np.abs(crop - original)[covered].mean() > 5
    assert len(faces) == 7


def test_the_log_has_its_columns_in_order_and_empty_cells_for_originals(everything: Path) -> None:
    with open(everything / "logs.csv", newline="", encoding="utf-8") as stream:
        header = next(csv.reader(stream))
    assert header[:15] == [
        "image_path", "mask_type", "mask_color", "error", "output_path",
        "status", "augmentation", "face_index", "crop_style", "mask_y_offset",
        "mask_rotation_angle", "attempts", "seed", "width", "height",
    ]  # fmt: skip
    rows = rows_of(everything)
    originals = [row for row in rows if row["status"] == "done" and row["augmentation"] == ""]
    assert len(originals) == 6 + 7 * 3
    assert {row["mask_type"] + row["mask_color"] for row in originals} == {""}
    assert {row["image_path"] for row in rows if row["status"] == "missed"} == {
        row["image_path"] for row in rows if row["output_path"] == ""
    }
    raw = (everything / "logs.csv").read_bytes()
    assert raw.count(b"\r\n") == len(rows) + 1


def test_one_mask_for_all_faces_of_a_variant_unless_asked_otherwise(everything: Path) -> None:
    for variant in ("0", "1"):
        masks = {
            (row["mask_type"], row["mask_color"])
            for row in rows_of(everything)
            if row["image_path"].endswith("two.JPG") and row["augmentation"] == variant
        }
        assert len(masks) == 1


def test_a_mask_per_face_gives_lists_for_the_full_picture(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    flags = ["--mask-per-face", "--save-full", "always", "--n-augmentations", 3, "--workers", 0]
    assert maskmill("run", "--input", photographs / "sub", "--output", out, *flags).rc == 0
    check(out)
    rows = [row for row in rows_of(out) if row["image_path"].endswith("two.JPG")]
    full = [row for row in rows if row["output_path"].endswith("_masked.png")]
    assert len(full) == 3
    for row in full:
        crops = {
            one["face_index"]: one
            for one in rows
            if one["augmentation"] == row["augmentation"] and one["face_index"]
        }
        for column in ("mask_type", "mask_color"):
            assert json.loads(row[column]) == [crops["0"][column], crops["1"][column]]
        for column in ("mask_y_offset", "mask_rotation_angle"):
            assert json.loads(row[column]) == [float(crops["0"][column]), float(crops["1"][column])]
    pairs = {tuple(json.loads(row["mask_color"])) for row in full}
    assert any(first != second for first, second in pairs)
    single = [row for row in rows_of(out) if row["output_path"].endswith("plain_aug0_masked.png")]
    assert single[0]["mask_color"].startswith("#")


def test_only_the_types_and_colors_asked_for_are_worn(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    flags = [
        "--mask-type",
        "n95",
        "--mask-type",
        "Surgical",
        "--mask-color",
        "#FF8800",
        "--mask-color",
        "0af",
    ]
    words = ["--crop-style", "buffalo", "--n-augmentations", 4, "--workers", 0]
    answer = maskmill("run", "--input", photographs / "grey.png", "--output", out, *flags, *words)
    assert answer.rc == 0, answer.stderr
    check(out)
    worn = {(row["mask_type"], row["mask_color"]) for row in rows_of(out)}
    assert worn == {(t, c) for t in ("N95", "surgical") for c in ("#ff8800", "#00aaff")}


def test_many_variants_do_not_repeat_a_type_and_color(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["--crop-style", "buffalo", "--n-augmentations", 12, "--workers", 0]
    answer = maskmill("run", "--input", photographs / "exif.jpg", "--output", out, *words)
    assert answer.rc == 0, answer.stderr
    check(out)
    worn = [(row["mask_type"], row["mask_color"]) for row in rows_of(out)]
    assert len(worn) == len(set(worn)) == 12


def test_a_mask_shows_the_blocks_of_its_jpeg_also_where_it_was_stored_on_its_side(
    maskmill: Command, tmp_path: Path
) -> None:
    upright = Image.fromarray(data.astronaut()[:509, :507])
    exif = Image.Exif()
    exif[0x0112] = 6  # stored row 0 is the right side of the upright picture
    (tmp_path / "in").mkdir()
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "in" / "a.jpg", quality=30, exif=exif)
    upright.save(tmp_path / "in" / "b.png")
    out = tmp_path / "out"
    flags = ["--labels", "--save-full", "always", "--crop-style", "buffalo", "--workers", 0]
    answer = maskmill("run", "--input", tmp_path / "in", "--output", out, *flags)
    assert answer.rc == 0, answer.stderr
    check(out)
    details = {}
    for stem in "ab":
        with Image.open(out / f"{stem}_aug0_mask.png") as label:
            details[stem] = fine_detail(
                pixels(out / f"{stem}_aug0_masked.png").astype(np.uint8), np.asarray(label)
            )
    # 507 is 3 more than a multiple of 8.
    assert grid_xy(details["a"]) == (3, 0)
    assert details["b"].min() > 0.8 * details["b"].mean()
