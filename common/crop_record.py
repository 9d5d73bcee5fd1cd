"""What a face crop says of itself: the record that stands in PNG and TIFF crops, as a checked type.

In the file it lies under `provenance`; what users add lies beside it under `user`. It has nothing that
differs between two runs of the same job: no time, no random name. `job` is the key of the job's options
(`JobOptions.key`), the same for a job and its extensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from common.errors import ImageError
from common.escaping import unescape
from common.styles import CROP_STYLES, MAX_SIDE

PROVENANCE, USER = "provenance", "user"
"""The two parts of a record."""

Number: TypeAlias = Annotated[float, Field(allow_inf_nan=False)]
Text: TypeAlias = Annotated[str, Field(max_length=64, pattern="^[ -~]*$")]
ShortText: TypeAlias = Annotated[str, Field(max_length=32, pattern="^[ -~]*$")]
Pixel: TypeAlias = Annotated[int, Field(gt=-(1 << 31), lt=1 << 31)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=32768)]
Point: TypeAlias = tuple[Number, Number]
Box: TypeAlias = tuple[Number, Number, Number, Number]
Index: TypeAlias = Annotated[int, Field(ge=0, lt=1 << 31)]


class _Part(BaseModel):
    # What a later version adds is passed over.
    model_config = ConfigDict(frozen=True, extra="ignore", strict=False)


class MaskPart(_Part):
    """The mask on a face, by the names of `common.models.Mask`; `box` is where it is seen."""

    kind: Text
    mask_type: ShortText
    mask_color: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
    y_offset: Number
    rotation_angle: Number
    wear: Annotated[str, Field(max_length=16, pattern="^[ -~]*$")] | None = None
    texture: ShortText | None = None
    yaw: Number | None = None
    pitch: Number | None = None
    roll: Number | None = None
    box: tuple[Pixel, Pixel, Pixel, Pixel] | None = None
    polygon: list[tuple[Pixel, Pixel]] | None = None


class CropRecord(_Part):
    """Where a crop comes from.

    Attributes:
        job: key of the options it was made with.
        image_path: the source as in `logs.csv`: as the user gave it, escaped.
        relative_path: of the source under its root, escaped; chance comes from it.
        stem: what the names of its artifacts begin with, escaped.
        image_size: width and height of the upright source, pixels.
        faces: accepted faces of the source.
        face_index: this one's place in reading order.
        ordinal: its place among all detections.
        box: x1, y1, x2, y2 in the source, pixels.
        score: of the detection.
        angle: degrees clockwise that the source was turned when the face was found.
        points_5: x, y in the source, pixels; None where the detector gives none.
        points_68: x, y in the source, pixels.
        crop_style: one of `common.styles.CROP_STYLES`.
        crop_size: side, pixels.
        matrix: 2 x 3, from source to crop.
        variant: from 0; None for the unmasked original.
        seed: of the job.
        options: further options of the job where they differ from the defaults.
        mask: what was drawn; None for the unmasked original.
    """

    job: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    image_path: Name
    relative_path: Name
    stem: Name
    image_size: tuple[Index, Index]
    faces: Annotated[int, Field(ge=1, lt=1 << 31)]
    face_index: Index
    ordinal: Index
    box: Box
    score: Number | None = None
    angle: Number = 0.0
    points_5: Annotated[list[Point], Field(min_length=5, max_length=5)] | None = None
    points_68: Annotated[list[Point], Field(min_length=68, max_length=68)] | None = None
    crop_style: str
    crop_size: Annotated[int, Field(ge=1, le=MAX_SIDE)]
    matrix: tuple[tuple[Number, Number, Number], tuple[Number, Number, Number]]
    variant: Annotated[int, Field(ge=0, lt=1000)] | None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)]
    options: dict[str, Any] = {}
    mask: MaskPart | None = None

    @field_validator("crop_style")
    @classmethod
    def _style_is_known(cls, value: str) -> str:
        if value not in CROP_STYLES:
            raise ValueError(f"no crop style is called {value!r}")
        return value

    @field_validator("relative_path", "stem")
    @classmethod
    def _path_stays_below(cls, value: str) -> str:
        path = unescape(value)
        if path.startswith(b"/") or b".." in path.split(b"/") or b"\0" in path:
            raise ValueError("a path below the root is expected")
        return value

    @field_validator("image_path")
    @classmethod
    def _path_is_text(cls, value: str) -> str:
        unescape(value)  # a lone surrogate is an error
        return value

    @model_validator(mode="after")
    def _original_is_unmasked(self) -> CropRecord:
        if self.variant is None and self.mask is not None:
            raise ValueError("the unmasked original has no mask")
        return self

    def as_record(self) -> dict[str, Any]:
        """The record as it is written into a file."""
        return {PROVENANCE: self.model_dump(mode="json", exclude_none=False)}


def crop_record_of(record: Mapping[str, Any] | None) -> CropRecord | None:
    """The provenance in a record that was read from a file; None where it has none.

    Raises:
        ImageError: `unreadable`: it has one, but not as this version understands it.
    """
    if record is None or PROVENANCE not in record:
        return None
    try:
        return CropRecord.model_validate(record[PROVENANCE])
    except (ValidationError, RecursionError) as exc:
        first = exc.errors()[0] if isinstance(exc, ValidationError) else {"loc": (), "msg": "too deep"}
        place = ".".join(str(one) for one in first["loc"]) or PROVENANCE
        raise ImageError(
            "unreadable", f"the provenance in the file must be complete, got {place}: {first['msg']}"
        ) from exc
