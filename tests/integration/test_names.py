"""Which files a job writes, and what they are called: the table of the spec, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Command
from tests.oracle import check, tree

STYLES = ("buffalo", "original_cropping", "scale_shift")


def crops(base: str, styles: tuple[str, ...] = STYLES) -> set[str]:
    return {f"{base}_{style}.jpg" for style in styles}


def names_of(out: Path) -> set[str]:
    check(out)
    return {path.decode() for path in tree(out)}


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def run(maskmill: Command, photographs: Path, out: Path, *flags: object) -> set[str]:
    """One picture with one face and one with two, sub-folder included."""
    answer = maskmill("run", "--input", photographs, "--skip-list", skip_others(out), "--output", out, *flags)
    assert answer.rc == 0, answer.stderr
    return names_of(out)


def skip_others(out: Path) -> Path:
    """Sorted: empty.jpeg exif.jpg grey.png large.webp sub/plain.tiff sub/two.JPG turned.bmp."""
    path = out.parent / "skip.txt"
    path.write_text("0\n2\n3,4\n6\n")
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_default_names_have_a_variant_and_no_face_number_for_one_face(
    maskmill: Command, photographs: Path, out: Path
) -> None:
    assert run(maskmill, photographs, out, "--workers", 0) == (
        crops("exif_aug0") | crops("sub/two_aug0_face0") | crops("sub/two_aug0_face1")
    )


TWO = ("sub/two_aug0_face0", "sub/two_aug0_face1")


def of_all(ending: str, *, exif: str = "exif", faces: tuple[str, ...] = TWO) -> set[str]:
    return {f"{base}{ending}" for base in (exif, *faces)}


CASES: dict[str, tuple[list[object], set[str]]] = {
    "--no-mask": (
        ["--no-mask"],
        crops("exif")
        | crops("sub/two_face0")
        | crops("sub/two_face1")
        | {"exif_original.png", "sub/two_original.png"},
    ),
    "--no-crop": (["--no-crop"], {"exif_aug0_masked.png", "sub/two_aug0_masked.png"}),
    "always everything": (
        ["--save-full", "always", "--with-original", "--labels", "--crop-style", "buffalo"],
        of_all("_buffalo.jpg", exif="exif_aug0")
        | of_all("_buffalo.jpg", faces=("sub/two_face0", "sub/two_face1"))
        | {f"{stem}{end}" for stem in ("exif", "sub/two") for end in ("_original.png", "_aug0_masked.png")}
        | {"exif_aug0_mask.png", "sub/two_aug0_mask.png"},
    ),
    "--with-original crops only": (
        ["--with-original", "--crop-style", "buffalo"],
        {"exif_buffalo.jpg", "exif_aug0_buffalo.jpg"}
        | {f"sub/two{aug}_face{k}_buffalo.jpg" for aug in ("", "_aug0") for k in (0, 1)},
    ),
    "never with --no-mask": (
        ["--no-mask", "--save-full", "never", "--crop-style", "scale_shift"],
        {"exif_scale_shift.jpg", "sub/two_face0_scale_shift.jpg", "sub/two_face1_scale_shift.jpg"},
    ),
    "a style by name only, underscores": (
        ["--crop_style", "buffalo_loose", "--n_augmentations", "2", "--crop_size", "128"],
        {f"exif_aug{i}_buffalo_loose.jpg" for i in (0, 1)}
        | {f"sub/two_aug{i}_face{k}_buffalo_loose.jpg" for i in (0, 1) for k in (0, 1)},
    ),
    "the largest face alone has no number": (
        ["--largest-face", "--crop-style", "original_cropping"],
        {"exif_aug0_original_cropping.jpg", "sub/two_aug0_original_cropping.jpg"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_names_follow_the_table(maskmill: Command, photographs: Path, out: Path, case: str) -> None:
    flags, expected = CASES[case]
    assert run(maskmill, photographs, out, "--workers", 0, *flags) == expected


@pytest.mark.parametrize("side", [128, pytest.param(224, marks=pytest.mark.soak)])
def test_crops_have_the_side_asked_for(maskmill: Command, photographs: Path, out: Path, side: int) -> None:
    run(maskmill, photographs, out, "--workers", 0, "--crop-size", side)
    assert {size_of(path) for path in out.rglob("*.jpg")} == {(side, side)}


def test_a_masked_picture_has_the_size_of_the_upright_original(
    maskmill: Command, photographs: Path, out: Path
) -> None:
    run(maskmill, photographs, out, "--workers", 0, "--no-crop", "--with-original")
    # Upright it is 216 wide and 256 high; it is stored lying on its side.
    assert size_of(photographs / "exif.jpg") == (256, 216)
    assert size_of(out / "exif_aug0_masked.png") == (216, 256)
    assert size_of(out / "exif_original.png") == (216, 256)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--no-mask", "--no-crop"], "--no-crop"),
        (["--crop-size", "100"], "100"),
        (["--n-augmentations", "0"], "--n-augmentations"),
        (["--n-augmentations", "-3"], "--n-augmentations"),
        (["--no-crop", "--save-full", "never"], "nothing"),
        (["--crop-style", "elsewhere"], "elsewhere"),
        (["--mask-type", "balaclava"], "balaclava"),
        (["--mask-color", "bluish"], "bluish"),
        (["--min-face", "large"], "--min-face"),
        (["--score", "1.5"], "--score"),
        (["--every-n", "0"], "every-n"),
        (["--skip-list", "is-not-there"], "--skip-list"),
        (["--workers", "many"], "many"),
        (["--device", "abacus"], "abacus"),
        (["--frobnicate"], "frobnicate"),
    ],
)
def test_an_impossible_wish_is_a_usage_error_and_nothing_is_written(
    maskmill: Command, photographs: Path, out: Path, flags: list[str], named: str
) -> None:
    answer = maskmill("run", "--input", photographs, "--output", out, *flags)
    assert answer.rc == 2
    assert named in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not out.exists()


def test_a_missing_or_empty_input_is_a_usage_error_and_nothing_is_written(
    maskmill: Command, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("no picture")
    for given in ("is-not-there", "empty", "texts", "texts/notes.txt"):
        answer = maskmill("run", "--input", tmp_path / given, "--output", out)
        assert answer.rc == 2
        assert str(tmp_path / given) in answer.stderr
        assert len(answer.stderr.strip().splitlines()) == 1
        assert not out.exists()
    assert maskmill("run", "--output", out).rc == 2
    assert not out.exists()


def test_more_variants_without_masks_are_ignored_with_a_warning(
    maskmill: Command, photographs: Path, out: Path
) -> None:
    flags = ["--no-mask", "--n-augmentations", 3, "--workers", 0, "--output", out]
    answer = maskmill("run", "--input", photographs / "grey.png", *flags)
    assert answer.rc == 0
    assert "--n-augmentations" in answer.stderr
    assert names_of(out) == crops("grey") | {"grey_original.png"}
