"""JobOptions: what a job asks for, validated once, at the door."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from common.angles import parse_angles
from common.choices import DetectorName, DetectorPrecision, LandmarksName, Normalization
from common.errors import UsageError
from common.kinds import parse_mask_color, parse_mask_type, parse_wears
from common.styles import check_side, expand_formats, expand_styles

SaveFull: TypeAlias = Literal["auto", "always", "never"]

MAX_VARIANTS = 1000
MAX_DETECT_SIDE = 4096
MAX_FACES = 1000
"""Faces of an image at the most, whatever is asked for: those with the highest scores. Crowds of WIDER FACE
have up to about two thousand faces of a few pixels; a picture made to be found full of faces has any number."""

ADDITIVE = frozenset(
    {
        "n_augmentations",
        "with_original",
        "crop_styles",
        "crop_formats",
        "full_masked",
        "full_original",
        "labels",
        "debug_landmarks",
    }
)
"""Options that add files when they are raised, and change none."""
_OF_CROPS = frozenset({"crop_size"})
_OF_MASKS = frozenset({"mask_types", "mask_colors", "mask_per_face", "wears"})

_PATHS = ("detector_model", "landmark_model", "skip_masked", "identity_model")
_FLAG_OF = {
    "mask_types": "mask-type",
    "mask_colors": "mask-color",
    "wears": "wear",
    "filters": "filter",
    "nfilters": "nfilter",
    "embedder": "identity-model",
}


class JobOptions(BaseModel):
    """Everything that decides which artifacts a job writes and how they look.

    `n_augmentations`, `with_original`, `crop_styles`, `crop_formats`, `full_masked`, `full_original`, `labels` and
    `debug_landmarks` are additive: raising them adds files. Every other option would change files already there.

    Attributes:
        n_augmentations: masked variants an image; 0 where no mask is asked for.
        with_original: the unmasked original is a variant too.
        crop_styles: styles cut of each face, in the canonical order; empty with `--no-crop`.
        crop_formats: `jpg`, `png`, `tif`: each crop is written in each of them.
        full_masked: write `<stem>_aug<i>_masked.png`.
        full_original: write `<stem>_original.png`.
        labels: write the alpha of each variant, `<stem>_aug<i>_mask.png`.
        debug_landmarks: write the points on a copy of the original, `<stem>_landmarks.png`.
        wears: how masks are worn, drawn uniformly; in the order of `common.kinds.WEARS`.
        skip_masked: path of an ONNX classifier; a face that it calls masked already is left alone.
        min_face: `""`, pixels of the box diagonal, or `N%` of the image's short side.
        filters, nfilters: sha256 of the reference pictures of wanted and of unwanted people, sorted.
        filter_threshold: on 1 − cosine; None without references.
        embedder: its name, which says model and description; None without references.
        identity_model: path of the embedder; None is dlib's ResNet.
        detector_precision: the numbers that CenterFace computes with; `auto`: int8 or fp32 on a CPU, fp16 on a GPU.
        detect_side: the detector sees images with a long side of at most so many pixels.
        boxes: where the boxes of the detector `manual` come from: `sha256:…` of a file, or `job:NAME`.
        rotate: degrees clockwise by which a picture is turned, one after the other, if no face is found.
        normalization: what is done to the pixels that the landmark model sees.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_augmentations: int = Field(default=1, ge=0, le=MAX_VARIANTS)
    with_original: bool = False
    crop_styles: tuple[str, ...] = ()
    crop_formats: tuple[str, ...] = ("jpg",)
    full_masked: bool = False
    full_original: bool = False
    labels: bool = False
    debug_landmarks: bool = False

    crop_size: int = 112
    mask_types: tuple[str, ...] = ()
    mask_colors: tuple[str, ...] = ()
    mask_per_face: bool = False
    wears: tuple[str, ...] = ("correct",)
    skip_masked: str | None = None
    seed: int = Field(default=0, ge=-(2**63), lt=2**63)
    detector: DetectorName = "centerface"
    detector_model: str | None = None
    detector_precision: DetectorPrecision = "auto"
    detect_side: int = Field(default=640, ge=64, le=MAX_DETECT_SIDE)
    score: float = Field(default=0.5, gt=0, le=1)
    nms: float = Field(default=0.3, gt=0, le=1)
    max_faces: int | None = Field(default=None, ge=1)
    largest_face: bool = False
    boxes: str | None = None
    rotate: tuple[float, ...] = ()
    landmarks: LandmarksName = "dlib68"
    landmark_model: str | None = None
    normalization: Normalization = "none"
    min_face: str = ""
    filters: tuple[str, ...] = ()
    nfilters: tuple[str, ...] = ()
    filter_threshold: float | None = Field(default=None, ge=0, le=2)
    embedder: str | None = None
    identity_model: str | None = None

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

    @field_validator("rotate", mode="before")
    @classmethod
    def _angles_are_read(cls, value: object) -> object:
        return parse_angles(value) if isinstance(value, str) else value

    @field_validator("crop_formats")
    @classmethod
    def _formats_are_known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return expand_formats(value) or ("jpg",)

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

    @model_validator(mode="after")
    def _boxes_belong_to_manual(self) -> JobOptions:
        if (self.boxes is None) != (self.detector != "manual"):
            raise UsageError("--detector manual and --boxes belong together: give both or neither")
        if self.rotate and self.detector == "manual":
            raise UsageError("--rotate has no meaning with --detector manual: leave it out")
        return self

    @model_validator(mode="after")
    def _precision_is_the_detectors(self) -> JobOptions:
        if self.detector_precision in ("fp16", "int8") and self.detector != "centerface":
            raise UsageError(
                f"--detector-precision {self.detector_precision} is for --detector centerface, "
                f"not for {self.detector}: leave it out"
            )
        return self

    def min_face_px(self, width: int, height: int) -> float:
        """The least box diagonal, in pixels, of a face that is kept in an image of this size."""
        if self.min_face.endswith("%"):
            return float(self.min_face[:-1]) / 100 * min(width, height)
        return float(self.min_face or 0)

    def identity(self) -> dict[str, Any]:
        """The options that decide how files look, where they differ from the defaults, as JSON values.

        Of the user's models the file name only: the same crop on two machines is the same bytes.
        """
        chosen = self.model_dump(mode="json", exclude_defaults=True, exclude=set(ADDITIVE))
        return {name: os.path.basename(value) if name in _PATHS else value for name, value in chosen.items()}

    @property
    def key(self) -> str:
        """16 hexadecimal digits that stand for what `identity` says: those of a job and of its extensions."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def filters_identity(self) -> bool:
        """Faces are compared with reference pictures."""
        return bool(self.filters or self.nfilters)

    @property
    def writes_something(self) -> bool:
        """At least one artifact comes out of a face."""
        variants = self.n_augmentations > 0
        return (
            self.debug_landmarks
            or (variants and (self.full_masked or self.labels))
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
    free = ADDITIVE | _without_effect(recorded)
    for field in (name for name in JobOptions.model_fields if name not in free):
        before, now = getattr(recorded, field), getattr(asked, field)
        if before != now:
            raise UsageError(
                f"--{flag_name(field)}: this output was made with {_shown(field, before)}, asked is "
                f"{_shown(field, now)}; "
                "that would change files already there: use another --output, or --force to start anew"
            )
    asked_formats = asked.crop_formats if asked.crop_styles else ()
    return make_options(
        {
            **asked.model_dump(),
            "n_augmentations": max(recorded.n_augmentations, asked.n_augmentations),
            "crop_styles": (*recorded.crop_styles, *asked.crop_styles),
            # A job without crops has no format yet.
            "crop_formats": (*(recorded.crop_formats if recorded.crop_styles else ()), *asked_formats),
            "with_original": recorded.with_original or asked.with_original,
            "full_masked": recorded.full_masked or asked.full_masked,
            "full_original": recorded.full_original or asked.full_original,
            "labels": recorded.labels or asked.labels,
            "debug_landmarks": recorded.debug_landmarks or asked.debug_landmarks,
        }
    )


def _without_effect(options: JobOptions) -> frozenset[str]:
    """The options that decided nothing: those of crops in a job without any, those of masks likewise."""
    return (_OF_CROPS if not options.crop_styles else frozenset()) | (
        _OF_MASKS if options.n_augmentations == 0 else frozenset()
    )


def _shown(field: str, value: object) -> str:
    if isinstance(value, tuple):
        # A sha256 is told by its beginning.
        return ",".join(f"{one:g}" if isinstance(one, float) else str(one)[:12] for one in value) or (
            "none" if field == "rotate" else "all"
        )
    return "none" if value in (None, "") else str(value)
