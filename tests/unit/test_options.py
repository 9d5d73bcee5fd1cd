"""JobOptions: what is possible, and how a job may be extended."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import UsageError
from common.options import JobOptions, extend, make_options, options_from_flags


def from_flags(**changes: Any) -> JobOptions:
    values: dict[str, Any] = {
        "n_augmentations": 1,
        "no_mask": False,
        "no_crop": False,
        "with_original": False,
        "crop_styles": ("all",),
        "save_full": "auto",
    }
    flags = {name: changes.pop(name) for name in list(changes) if name not in values}
    return options_from_flags(flags, **{**values, **changes})


@pytest.mark.parametrize(
    ("flags", "full_masked", "full_original", "variants", "styles"),
    [
        ({}, False, False, 1, 3),
        ({"no_crop": True}, True, False, 1, 0),
        ({"no_mask": True}, False, True, 0, 3),
        ({"save_full": "always"}, True, False, 1, 3),
        ({"save_full": "always", "with_original": True}, True, True, 1, 3),
        ({"save_full": "never", "no_mask": True}, False, False, 0, 3),
        ({"with_original": True}, False, False, 1, 3),
        ({"no_crop": True, "with_original": True}, True, True, 1, 0),
        ({"no_mask": True, "n_augmentations": 5}, False, True, 0, 3),
    ],
)
def test_flags_become_files(
    flags: dict[str, Any], full_masked: bool, full_original: bool, variants: int, styles: int
) -> None:
    options = from_flags(**flags)
    assert (options.full_masked, options.full_original) == (full_masked, full_original)
    assert (options.n_augmentations, len(options.crop_styles)) == (variants, styles)


@pytest.mark.parametrize(
    "flags",
    [
        {"no_mask": True, "no_crop": True},
        {"n_augmentations": 0},
        {"no_crop": True, "save_full": "never"},
        {"crop_size": 100},
        {"crop_size": 0},
        {"crop_styles": ("elsewhere",)},
        {"mask_types": ("balaclava",)},
        {"mask_colors": ("#12",)},
        {"min_face": "-3"},
        {"min_face": "101%"},
        {"min_face": "wide"},
        {"score": 0.0},
        {"score": 1.01},
        {"max_faces": 0},
        {"seed": 2**63},
        {"detector": "eyes"},
        {"detector": "manual"},
        {"boxes": "sha256:0"},
        {"detector": "manual", "boxes": "sha256:0", "rotate": "on"},
        {"rotate": "400"},
        {"normalization": "grey"},
        {"landmarks": "98"},
        {"unknown": 1},
    ],
)
def test_impossible_options_are_refused(flags: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        from_flags(**flags)


def test_a_side_that_buffalo_does_not_have_is_fine_without_it() -> None:
    assert from_flags(crop_size=100, crop_styles=("scale_shift",)).crop_size == 100
    assert from_flags(crop_size=100, no_crop=True).crop_size == 100


@pytest.mark.parametrize(
    ("min_face", "pixels"), [("", 0), ("0", 0), ("0%", 0), ("20", 20), ("12.5", 12.5), ("5%", 10)]
)
def test_the_least_face_is_in_pixels_or_of_the_short_side(min_face: str, pixels: float) -> None:
    assert make_options({"min_face": min_face}).min_face_px(300, 200) == pytest.approx(pixels)


def test_styles_types_and_colors_have_one_form() -> None:
    options = make_options(
        {
            "crop_styles": ("scale_shift", "buffalo", "buffalo"),
            "mask_types": ("n95", "CLOTH", "N95"),
            "mask_colors": ("#ABC", "aabbcc", "#000000"),
        }
    )
    assert options.crop_styles == ("buffalo", "scale_shift")
    assert sorted(options.mask_types) == ["N95", "cloth"]
    assert options.mask_colors == ("#aabbcc", "#000000")


def test_options_survive_the_database() -> None:
    options = from_flags(mask_types=("N95",), min_face="5%", seed=-1, labels=True, rotate="22.5")
    assert make_options(options.model_dump(mode="json")) == options


RECORDED = JobOptions(n_augmentations=2, crop_styles=("buffalo",))


@pytest.mark.parametrize(
    ("asked", "together"),
    [
        ({}, {}),
        ({"n_augmentations": 5}, {"n_augmentations": 5}),
        ({"n_augmentations": 1}, {"n_augmentations": 2}),
        ({"crop_styles": ("scale_shift",)}, {"crop_styles": ("buffalo", "scale_shift")}),
        ({"with_original": True}, {"with_original": True}),
        ({"labels": True}, {"labels": True}),
        ({"debug_landmarks": True}, {"debug_landmarks": True}),
        ({"full_masked": True}, {"full_masked": True}),
        ({"full_original": True}, {"full_original": True}),
    ],
)
def test_what_only_adds_files_extends(asked: dict[str, Any], together: dict[str, Any]) -> None:
    wanted = RECORDED.model_copy(update=together)
    assert extend(RECORDED, RECORDED.model_copy(update=asked)) == wanted
    # Asking again for less takes nothing away.
    assert extend(wanted, RECORDED) == wanted


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        ({"seed": 1}, "--seed"),
        ({"crop_size": 224}, "--crop-size"),
        ({"mask_types": ("N95",)}, "--mask-type"),
        ({"mask_colors": ("#000000",)}, "--mask-color"),
        ({"mask_per_face": True}, "--mask-per-face"),
        ({"detector": "rfb"}, "--detector"),
        ({"detector_model": "/x.onnx"}, "--detector-model"),
        ({"landmarks": "onnx98"}, "--landmarks"),
        ({"landmark_model": "/x.dat"}, "--landmark-model"),
        ({"score": 0.6}, "--score"),
        ({"nms": 0.4}, "--nms"),
        ({"max_faces": 3}, "--max-faces"),
        ({"largest_face": True}, "--largest-face"),
        ({"min_face": "5%"}, "--min-face"),
        ({"detect_side": 320}, "--detect-side"),
        ({"detector_precision": "int8"}, "--detector-precision"),
        ({"wears": ("nose-out",)}, "--wear"),
        ({"skip_masked": "/x.onnx"}, "--skip-masked"),
        ({"boxes": "sha256:0"}, "--boxes"),
        ({"rotate": (90.0,)}, "--rotate"),
        ({"normalization": "hist"}, "--normalization"),
        ({"filters": ("ab" * 32,)}, "--filter"),
        ({"nfilters": ("ab" * 32,)}, "--nfilter"),
        ({"filter_threshold": 0.1}, "--filter-threshold"),
        ({"embedder": "other"}, "--identity-model"),
    ],
)
def test_what_would_change_files_is_refused_by_name(change: dict[str, Any], flag: str) -> None:
    with pytest.raises(UsageError, match=f"^{flag}:"):
        extend(RECORDED, RECORDED.model_copy(update=change))


def test_every_option_either_adds_or_is_refused() -> None:
    """A new option must be put on one side or the other."""
    known = {"n_augmentations", "crop_styles", "with_original", "labels", "full_masked", "full_original"}
    known |= {"seed", "crop_size", "mask_types", "mask_colors", "mask_per_face", "detector", "detector_model"}
    known |= {"landmarks", "landmark_model", "score", "nms", "max_faces", "largest_face", "min_face"}
    assert set(JobOptions.model_fields) == known | {
        *("detect_side", "detector_precision", "wears", "skip_masked", "debug_landmarks", "crop_formats"),
        *("boxes", "rotate", "normalization"),
        *("filters", "nfilters", "filter_threshold", "embedder", "identity_model"),
    }


def test_another_crop_format_adds_files() -> None:
    jpg = JobOptions(crop_styles=("buffalo",))
    png = JobOptions(crop_styles=("buffalo",), crop_formats=("png",))
    assert extend(jpg, png).crop_formats == ("jpg", "png")
    assert extend(extend(jpg, png), jpg).crop_formats == ("jpg", "png")
    assert extend(JobOptions(full_masked=True), png).crop_formats == ("png",), "there were no crops yet"
    assert extend(png, JobOptions(full_masked=True)).crop_formats == ("png",), "none are asked for now"
    with pytest.raises(UsageError, match="--crop-format"):
        JobOptions(crop_formats=("gif",))


def test_the_key_of_a_job_is_that_of_its_extensions_and_of_no_other() -> None:
    job = JobOptions(crop_styles=("buffalo",), seed=7)
    longer = JobOptions(crop_styles=("all",), crop_formats=("png",), n_augmentations=3, labels=True, seed=7)
    assert job.key == longer.key
    assert len(job.key) == 16
    assert job.key != JobOptions(crop_styles=("buffalo",), seed=8).key
    here, there = (JobOptions(detector_model=path) for path in ("/a/x.onnx", "/b/x.onnx"))
    assert here.key == there.key, "the same file elsewhere"
    assert here.identity() == {"detector_model": "x.onnx"}


@pytest.mark.parametrize(
    ("flags", "change"),
    [
        ({"no_crop": True}, {"crop_size": 224}),
        ({"no_mask": True}, {"mask_types": ("surgical",)}),
        ({"no_mask": True}, {"wears": ("hanging",), "mask_per_face": True}),
    ],
)
def test_an_option_that_decided_nothing_as_yet_may_change(
    flags: dict[str, Any], change: dict[str, Any]
) -> None:
    recorded = from_flags(**flags)
    asked = from_flags(**change)
    together = extend(recorded, asked)
    for name in change:
        assert getattr(together, name) == getattr(asked, name)
    with pytest.raises(UsageError):
        extend(together, recorded)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_precision_belongs_to_centerface_and_changes_the_identity(precision: Any) -> None:
    chosen = JobOptions(crop_styles=("buffalo",), detector_precision=precision)
    assert chosen.identity()["detector_precision"] == precision
    assert chosen.key != JobOptions(crop_styles=("buffalo",)).key
    with pytest.raises(UsageError, match=f"--detector-precision {precision} is for --detector centerface"):
        JobOptions(detector="rfb", detector_model="/x.onnx", detector_precision=precision)
