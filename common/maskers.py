"""What makes a map of a face: a rule on its 68 points, or a network that the user brings.

Names and descriptions only; the work is in `workers.maskers`. Imports no model library.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.errors import UnfitError, UsageError

HULLS = ("components", "extended")
MODES = ("all", "missing", "preview")
BLUR_KERNEL, BLUR_KERNEL_MAX = 3, 8
THRESHOLD, THRESHOLD_MAX = 4, 50

_NETWORK = "onnx:"
_ThreeNumbers = Annotated[list[float], Field(min_length=3, max_length=3)]
_NAME_CHARS = 40


class NetworkDescription(BaseModel):
    """What the description file beside a network says: `face.json` or `face.onnx.json` for `face.onnx`.

    The network sees the face's aligned square, each pixel as (value * scale - mean) / std.

    Attributes:
        name: part of the name that its maps are stored under; the file's name by default.
        input_side: pixels; the picture is square.
        layout: order of the input's axes, and of the answer's: `nchw` or `nhwc`.
        colour_order: of the channels: `bgr` or `rgb`.
        scale: factor on the values 0 to 255.
        mean: taken off after it, one number or one a channel, in the network's colour order.
        std: divides what is left, likewise.
        region: side of the square that the network sees, in sides of the `buffalo` square, same centre.
        output: name of the answer among several; the first by default.
        answer: `probability` (0 to 1 in `channel`), `sigmoid` or `softmax` (scores, made probabilities here;
            softmax adds those of `classes`), `argmax` (the pixel's best channel is one of `classes`), `labels`
            (the answer is the number of the class).
        channel: of `probability` and `sigmoid`.
        classes: what counts as face, of `softmax`, `argmax` and `labels`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = None
    input_side: int = Field(ge=16, le=2048)
    layout: Literal["nchw", "nhwc"] = "nchw"
    colour_order: Literal["bgr", "rgb"] = "rgb"
    scale: float = 1.0
    mean: float | _ThreeNumbers = 0.0
    std: float | _ThreeNumbers = 1.0
    region: float = Field(default=1.0, ge=0.25, le=8.0)
    output: str | None = None
    answer: Literal["probability", "sigmoid", "softmax", "argmax", "labels"]
    channel: int = Field(default=0, ge=0)
    classes: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _fits_the_answer(self) -> NetworkDescription:
        if self.answer in ("softmax", "argmax", "labels") and not self.classes:
            raise ValueError(f"answer {self.answer} needs classes: the numbers of those that are face")
        if 0.0 in (self.std if isinstance(self.std, list) else [self.std]):
            raise ValueError("std must not be 0")
        return self


class Masker(BaseModel):
    """One masker.

    Attributes:
        name: what its maps are stored under. A network's has eight digits of the checksum of the network and its
            description, so that maps of two versions never mix.
        network: absolute path of the ONNX file; None for a rule.
        description: of the network.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    network: Path | None = None
    description: NetworkDescription | None = None


def read_masker(text: str) -> Masker:
    """The masker that `--masker` names: `components`, `extended` or `onnx:PATH`.

    Raises:
        UsageError: no such masker.
        UnfitError: the network or its description is missing or not understood.
    """
    if text in HULLS:
        return Masker(name=text)
    if not text.startswith(_NETWORK) or text == _NETWORK:
        raise UsageError(f"--masker must be {', '.join(HULLS)} or onnx:PATH, got {text!r}")
    return read_network(Path(text.removeprefix(_NETWORK)).absolute())


def read_network(path: Path) -> Masker:
    """The masker of a network's file and the description beside it.

    Raises:
        UnfitError: one of them is missing or not understood.
    """
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise UnfitError(f"the network {path} cannot be read ({exc.strerror}); give an ONNX file") from exc
    places = [path.with_suffix(".json"), path.with_name(path.name + ".json")]
    place = next((one for one in places if one.is_file()), None)
    if place is None:
        raise UnfitError(
            f"the network {path} has no description beside it: write {places[0].name} (docs/segmentation.md)"
        )
    try:
        text = place.read_bytes()
        description = NetworkDescription.model_validate_json(text)
    except OSError as exc:
        raise UnfitError(f"the description {place} cannot be read ({exc.strerror})") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise UnfitError(
            f"the description {place} is not understood: {where}: {first['msg'].removeprefix('Value error, ')}"
        ) from exc
    checksum = hashlib.sha256(hashlib.sha256(content).digest() + text).hexdigest()[:8]
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", description.name or path.stem).strip("-.")[:_NAME_CHARS]
    return Masker(name=f"onnx-{plain or 'network'}-{checksum}", network=path, description=description)
