"""Which files an image gives: the table of the spec."""

from __future__ import annotations

from common.artifacts import plan_artifacts
from common.options import JobOptions

BUFFALO = ("buffalo",)


def paths(options: JobOptions, faces: list[int], stem: bytes = b"sub/a") -> list[bytes]:
    planned = plan_artifacts(options, stem, faces)
    assert [artifact.position for artifact in planned] == list(range(len(planned)))
    return [artifact.path for artifact in planned]


def test_an_image_without_a_face_gives_no_file() -> None:
    assert paths(JobOptions(crop_styles=BUFFALO, full_masked=True, labels=True), []) == []


def test_one_face_has_no_number() -> None:
    assert paths(JobOptions(crop_styles=("all",)), [0]) == [
        b"sub/a_aug0_buffalo.jpg",
        b"sub/a_aug0_original_cropping.jpg",
        b"sub/a_aug0_scale_shift.jpg",
    ]


def test_each_crop_comes_in_each_format_and_the_style_stays_last() -> None:
    assert paths(JobOptions(crop_styles=BUFFALO, crop_formats=("tif", "png")), [0]) == [
        b"sub/a_aug0_buffalo.png",
        b"sub/a_aug0_buffalo.tif",
    ]


def test_several_faces_have_numbers_and_variants_come_one_after_the_other() -> None:
    assert paths(JobOptions(crop_styles=BUFFALO, n_augmentations=2), [0, 1]) == [
        b"sub/a_aug0_face0_buffalo.jpg",
        b"sub/a_aug0_face1_buffalo.jpg",
        b"sub/a_aug1_face0_buffalo.jpg",
        b"sub/a_aug1_face1_buffalo.jpg",
    ]


def test_the_original_comes_first_and_pictures_before_crops() -> None:
    options = JobOptions(
        crop_styles=BUFFALO, with_original=True, full_original=True, full_masked=True, labels=True
    )
    planned = plan_artifacts(options, b"\xff", [0])
    assert [(one.kind, one.variant, one.face_index, one.crop_style, one.path) for one in planned] == [
        ("full", None, None, None, b"\xff_original.png"),
        ("crop", None, 0, "buffalo", b"\xff_buffalo.jpg"),
        ("full", 0, None, None, b"\xff_aug0_masked.png"),
        ("labels", 0, None, None, b"\xff_aug0_mask.png"),
        ("crop", 0, 0, "buffalo", b"\xff_aug0_buffalo.jpg"),
    ]


def test_more_options_only_add_paths() -> None:
    small = JobOptions(crop_styles=BUFFALO)
    large = JobOptions(
        crop_styles=("all", "buffalo_loose"), n_augmentations=3, with_original=True, labels=True
    )
    assert set(paths(small, [0, 1])) < set(paths(large, [0, 1]))
    assert len(paths(large, [0, 1])) == 4 * 2 * 4 + 3
