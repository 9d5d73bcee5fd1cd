"""JobOptions: what a job asks for, validated once, at the door."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from common.errors import UsageError
from common.kinds import parse_mask_color, parse_mask_type, parse_wears
from common.styles import check_side, expand_styles

SaveFull: TypeAlias = Literal["auto", "always", "never"]

MAX_VARIANTS = 1000
MAX_DETECT_SIDE = 4096

_ADDITIVE = frozenset(
    {"n_augmentations", "with_original", "crop_styles", "full_masked", "full_original", "labels"}
)
_FLAG_OF = {"mask_types": "mask-type", "mask_colors": "mask-color", "wears": "wear"}


class JobOptions(BaseModel):
    """Everything that decides which artifacts a job writes and how they look.

    `n_augmentations`, `with_original`, `crop_styles`, `full_masked`, `full_original` and `labels` are
    additive: raising them adds files. Every other option would change files that are already there.

    Attributes:
        n_augmentations: masked variants an image; 0 where no mask is asked for.
        with_original: the unmasked original is a variant too.
        crop_styles: styles cut of each face, in the canonical order; empty with `--no-crop`.
        full_masked: write `<stem>_aug<i>_masked.png`.
        full_original: write `<stem>_original.png`.
        labels: write the alpha of each variant, `<stem>_aug<i>_mask.png`.
        wears: how masks are worn, drawn uniformly; in the order of `common.kinds.WEARS`.
        skip_masked: path of an ONNX classifier; a face that it calls masked already is left alone.
        min_face: `""`, pixels of the box diagonal, or `N%` of the image's short side.
        detect_side: the detector sees images with a long side of at most so many pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_augmentations: int = Field(default=1, ge=0, le=MAX_VARIANTS)
    with_original: bool = False
    crop_styles: tuple[str, ...] = ()
    full_masked: bool = False
    full_original: bool = False
    labels: bool = False

    crop_size: int = 112
    mask_types: tuple[str, ...] = ()
    mask_colors: tuple[str, ...] = ()
    mask_per_face: bool = False
    wears: tuple[str, ...] = ("correct",)
    skip_masked: str | None = None
    seed: int = Field(default=0, ge=-(2**63), lt=2**63)
    detector: Literal["centerface", "rfb"] = "centerface"
    detector_model: str | None = None
    detect_side: int = Field(default=640, ge=64, le=MAX_DETECT_SIDE)
    score: float = Field(default=0.5, gt=0, le=1)
    nms: float = Field(default=0.3, gt=0, le=1)
    max_faces: int | None = Field(default=None, ge=1)
    largest_face: bool = False
    landmarks: Literal["dlib68", "onnx98"] = "dlib68"
    landmark_model: str | None = None
    min_face: str = ""

    @field_validator("mask_types")
    @classmethod
    def _types_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({parse_mask_type(one) for one in value}))

    @field_validator("mask_colors")
    @classmethod
    def _colors_are_hex(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(parse_mask_color(one) for one in value))

    @field_validator("wears")
    @classmethod
    def _wears_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return parse_wears(value)

    @field_validator("crop_styles")
    @classmethod
    def _styles_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return expand_styles(value)

    @field_validator("min_face")
    @classmethod
    def _min_face_is_a_size(cls, value: str) -> str:
        if not re.fullmatch(r"|\d{1,6}(\.\d+)?%?", value) or (
            value.endswith("%") and float(value[:-1]) > 100
        ):
            raise UsageError(f"--min-face must be pixels or a percentage such as 5%, got {value!r}")
        return "" if value and float(value.rstrip("%")) == 0 else value

    @model_validator(mode="after")
    def _side_fits_the_styles(self) -> JobOptions:
        check_side(self.crop_styles, self.crop_size)
        return self

    def min_face_px(self, width: int, height: int) -> float:
        """The least box diagonal, in pixels, of a face that is kept in an image of this size."""
        if self.min_face.endswith("%"):
            return float(self.min_face[:-1]) / 100 * min(width, height)
        return float(self.min_face or 0)

    @property
    def writes_something(self) -> bool:
        """At least one artifact comes out of a face."""
        variants = self.n_augmentations > 0
        return (
            (variants and (self.full_masked or self.labels))
            or (self.with_original and self.full_original)
            or (bool(self.crop_styles) and (variants or self.with_original))
        )


def options_from_flags(
    flags: Mapping[str, Any],
    *,
    n_augmentations: int,
    no_mask: bool,
    no_crop: bool,
    with_original: bool,
    crop_styles: tuple[str, ...],
    save_full: SaveFull,
) -> JobOptions:
    """Turn the command line's flags into options.

    Args:
        flags: the remaining options under their own names.

    Raises:
        UsageError: impossible values, or nothing would be written.
    """
    if no_mask and no_crop:
        raise UsageError("--no-mask and --no-crop exclude each other: nothing would be left to do")
    if n_augmentations < 1:
        raise UsageError(f"--n-augmentations must be at least 1, got {n_augmentations}")
    full = save_full == "always" or (save_full == "auto" and (no_mask or no_crop))
    styles = () if no_crop else crop_styles
    options = make_options(
        {
            **flags,
            "n_augmentations": 0 if no_mask else n_augmentations,
            "with_original": with_original or no_mask,
            "crop_styles": styles,
            "full_masked": full and not no_mask,
            "full_original": full and (with_original or no_mask),
        }
    )
    if not options.writes_something:
        raise UsageError("--no-crop with --save-full never: nothing would be written")
    return options


def make_options(values: Mapping[str, Any]) -> JobOptions:
    """Options from untrusted values (flags, or the database).

    Raises:
        UsageError: a value is impossible; one sentence names the option.
    """
    try:
        return JobOptions(**values)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "options"
        raise UsageError(f"--{flag_name(name)}: {first['msg'].lower()}, got {first['input']!r}") from exc


def flag_name(field: str) -> str:
    """The flag of an option, without its hyphens in front."""
    return _FLAG_OF.get(field, field.replace("_", "-"))


def extend(recorded: JobOptions, asked: JobOptions) -> JobOptions:
    """The options of a job that is continued or extended by a second command.

    Raises:
        UsageError: an option differs that would change files already there; it is named.
    """
    for field in JobOptions.model_fields:
        if field in _ADDITIVE:
            continue
        before, now = getattr(recorded, field), getattr(asked, field)
        if before != now:
            raise UsageError(
                f"--{flag_name(field)}: this output was made with {_shown(before)}, asked is {_shown(now)}; "
                "that would change files already there: use another --output, or --force to start anew"
            )
    return make_options(
        {
            **asked.model_dump(),
            "n_augmentations": max(recorded.n_augmentations, asked.n_augmentations),
            "crop_styles": (*recorded.crop_styles, *asked.crop_styles),
            "with_original": recorded.with_original or asked.with_original,
            "full_masked": recorded.full_masked or asked.full_masked,
            "full_original": recorded.full_original or asked.full_original,
            "labels": recorded.labels or asked.labels,
        }
    )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(str(one) for one in value) or "all"
    return "none" if value in (None, "") else str(value)
