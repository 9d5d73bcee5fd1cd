"""What the door needs to know of embedders: names, thresholds, and a user's description of an ONNX file."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.errors import UnfitError, UsageError
from common.styles import CROP_STYLES

ReferenceList = Literal["wanted", "unwanted"]
FLAG_OF: dict[ReferenceList, str] = {"wanted": "filter", "unwanted": "nfilter"}

RULES = {
    1: "rejected, too far from the wanted on average",
    2: "rejected, near to the unwanted on average",
    3: "rejected, nearest to an unwanted",
    4: "rejected, nearer to the unwanted on average",
    5: "rejected, few wanted among the nearest",
    6: "accepted",
}
"""The decision table of `workers.identity.decision`; the first rule that applies."""

DLIB_RESNET = "dlib-resnet"
DLIB_THRESHOLD = 0.065
"""In the gap between one face after changes (at most 0.0502) and other people (at least 0.0670), measured on
photographs with faces of 48 pixels and more: docs/identity.md."""

SMALL_FACE = 48.0
"""Side of a face, pixels; below it one face strays as far from itself as other people are away."""

_HASH_DIGITS = 12


class Description(BaseModel):
    """What an ONNX embedder wants to see: the file `<model>.toml` or `<model>.json` beside it.

    A pixel x (0–255) enters as (x − mean) / scale.

    Attributes:
        name: stands in rows and messages.
        side: of the square input, pixels.
        mean: one number, or three in the order of `colors`.
        scale: likewise.
        colors: the order of the channels.
        layout: `nchw` or `nhwc`.
        alignment: the crop style that the face is cut in.
        threshold: on 1 − cosine; without one `--filter-threshold` must be given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=40)
    side: int = Field(default=112, ge=16, le=1024)
    mean: tuple[float, ...] = (127.5,)
    scale: tuple[float, ...] = (127.5,)
    colors: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    alignment: str = "buffalo"
    threshold: float | None = Field(default=None, gt=0, le=2)

    @model_validator(mode="before")
    @classmethod
    def _one_number_is_a_list(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for name in ("mean", "scale"):
                if isinstance(values.get(name), int | float):
                    values = {**values, name: (values[name],)}
        return values

    @model_validator(mode="after")
    def _channels_and_style_fit(self) -> Description:
        for name in ("mean", "scale"):
            if len(getattr(self, name)) not in (1, 3):
                raise ValueError(f"{name} must be one number or three")
        if 0 in self.scale:
            raise ValueError("scale must not be 0")
        if self.alignment not in CROP_STYLES:
            raise ValueError(f"alignment must be one of {', '.join(CROP_STYLES)}")
        return self


@dataclass(frozen=True)
class EmbedderInfo:
    """An embedder as options and rows name it.

    Attributes:
        name: `dlib-resnet`, or a description's name with a hash of model and description: what it computes
            hangs on both. Embeddings of different names are never compared.
        threshold: its own default, on 1 − cosine; None where the user must say.
        description: of an ONNX file.
    """

    name: str
    threshold: float | None
    description: Description | None = None


def embedder_info(model: Path | None) -> EmbedderInfo:
    """What embedder a job uses: dlib's, or the one of `--identity-model`.

    Args:
        model: a `.dat` of dlib's ResNet, or an ONNX file with a description beside it.

    Raises:
        UnfitError: there is no such file.
        UsageError: its description is missing or wrong.
    """
    if model is None:
        return EmbedderInfo(DLIB_RESNET, DLIB_THRESHOLD)
    if not model.is_file():
        raise UnfitError(f"--identity-model {model}: no such file; give an existing one")
    digest = hashlib.sha256()
    with model.open("rb") as stream:
        digest.update(hashlib.file_digest(stream, "sha256").digest())
    if model.suffix.lower() == ".dat":
        return EmbedderInfo(f"{DLIB_RESNET}-{digest.hexdigest()[:_HASH_DIGITS]}", DLIB_THRESHOLD)
    description = read_description(model)
    digest.update(description.model_dump_json(exclude={"threshold"}).encode())
    name = f"{description.name}-{digest.hexdigest()[:_HASH_DIGITS]}"
    return EmbedderInfo(name, description.threshold, description)


def read_description(model: Path) -> Description:
    """The description beside an ONNX file.

    Raises:
        UsageError: there is none, or it is wrong; says what is expected.
    """
    candidates = [model.with_suffix(ending) for ending in (".toml", ".json")]
    path = next((one for one in candidates if one.is_file()), None)
    if path is None:
        raise UsageError(
            f"--identity-model {model}: a description {candidates[0].name} or {candidates[1].name} is expected "
            "beside it (name, side, mean, scale, colors, layout, alignment, threshold; see docs/identity.md)"
        )
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        return Description.model_validate(values)
    except OSError as exc:
        raise UsageError(f"--identity-model: {path} cannot be read ({exc.strerror})") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UsageError(f"--identity-model: {path}: {field}: {first['msg']}") from exc
    except ValueError as exc:
        raise UsageError(f"--identity-model: {path} is no {path.suffix[1:].upper()}: {exc}") from exc


@dataclass(frozen=True)
class ReferencePicture:
    """A picture of a wanted or unwanted person, read at the door."""

    list: ReferenceList
    path: bytes
    sha256: str
    data: bytes

    @property
    def flag(self) -> str:
        """The option that gave it, without its hyphens."""
        return FLAG_OF[self.list]
