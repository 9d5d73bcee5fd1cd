"""Description files: what a user's ONNX file takes and gives, in TOML or JSON; docs/models.md has every field.

A description stands beside its model under the same name (`det.onnx`, `det.toml`) or is given by path and
names its model. A model without one is taken for the published form of its layout.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.errors import UnfitError

SUFFIXES = (".toml", ".json")


class InputForm(BaseModel):
    """What the network takes.

    Attributes:
        size: width and height, pixels, of a network that declares none; None: any.
        fit: `letterbox` keeps the proportions and fills up with black, `squash` does not.
        multiple: sides of a free size are multiples of this.
        color: order of the channels.
        axes: `nchw` or `nhwc`.
        mean: subtracted, per channel in the order of `color`.
        scale: multiplied after that; one number, or one per channel.
        type: of the numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: tuple[int, int] | None = None
    fit: Literal["letterbox", "squash"] = "letterbox"
    multiple: int = Field(default=32, ge=1, le=1024)
    color: Literal["rgb", "bgr"] = "bgr"
    axes: Literal["nchw", "nhwc"] = "nchw"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float | tuple[float, float, float] = 1.0
    type: Literal["float32", "uint8"] = "float32"


class Decode(BaseModel):
    """Constants of a layout; None: those of the published network.

    Attributes:
        strides: pixels a cell, finest first.
        anchors: anchors a cell (scrfd).
        min_sizes: sides of the priors per stride, pixels (retinaface).
        variances: of centre and size (retinaface, s3fd).
        activation: what is done to the scores here: `none`, `softmax` or `sigmoid`.
        face_class: the column or class that is the face.
        min_size: the smallest face looked for, pixels of the picture as `--detect-side` leaves it (mtcnn).
        factor: between two sizes of the pyramid (mtcnn).
        thresholds: of the three stages; the last is `--score` where it is higher (mtcnn).
        box_scale: side of the crop over the mean of the box's sides (fan).
        shift_y: how far the crop lies lower than the box, in heights of the box (fan).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strides: tuple[int, ...] | None = None
    anchors: int | None = Field(default=None, ge=1)
    min_sizes: tuple[tuple[float, ...], ...] | None = None
    variances: tuple[float, float] | None = None
    activation: Literal["none", "softmax", "sigmoid"] | None = None
    face_class: int | None = Field(default=None, ge=0)
    min_size: float | None = Field(default=None, gt=0)
    factor: float | None = Field(default=None, gt=0, lt=1)
    thresholds: tuple[float, float, float] | None = None
    box_scale: float | None = Field(default=None, gt=0)
    shift_y: float | None = None


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: str
    model: str | None = None
    models: dict[str, str] = {}
    input: dict[str, Any] = {}
    outputs: dict[str, str | tuple[str, ...]] = {}
    decode: Decode = Decode()


@dataclass(frozen=True)
class Description:
    """A description, complete.

    Attributes:
        path: what was given: the model or the description.
        model: the ONNX file; of mtcnn the folder of its files.
        models: role → ONNX file, where the layout has several networks.
        outputs: role → names of the outputs, finest stride first; a role that is missing is found by shape.
    """

    layout: str
    path: Path
    model: Path
    models: Mapping[str, Path]
    input: InputForm
    outputs: Mapping[str, tuple[str, ...]]
    decode: Decode


def read_description(path: Path, layout: str, published: Mapping[str, Any]) -> Description:
    """Return what is known about a model.

    Args:
        path: an ONNX file or a description.
        layout: what the command line asks for.
        published: the `input` table of the layout's published form; the file's fields come over it.

    Raises:
        UnfitError: unreadable, a wrong field, or another layout.
    """
    file = _beside(path)
    if file is None:
        said = _File(layout=layout)
    else:
        said = _read(file)
        if said.layout != layout:
            raise UnfitError(f"the description {file} is of the layout {said.layout}, asked is {layout}")
    folder = path.parent
    model = path
    if path.suffix.lower() in SUFFIXES:
        model = folder / said.model if said.model else path.with_suffix(".onnx")
    try:
        form = InputForm(**{**published, **said.input})
    except ValidationError as exc:
        raise _unfit(file or path, exc, "input.") from exc
    outputs = {role: (names,) if isinstance(names, str) else names for role, names in said.outputs.items()}
    models = {role: folder / name for role, name in said.models.items()}
    return Description(layout, path, model, models, form, outputs, said.decode)


def _beside(path: Path) -> Path | None:
    """The description that belongs to a path: itself, or the file of the same name beside a model."""
    if path.suffix.lower() in SUFFIXES:
        return path
    return next((path.with_suffix(one) for one in SUFFIXES if path.with_suffix(one).is_file()), None)


def _read(file: Path) -> _File:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise UnfitError(f"the description {file} cannot be read: {exc}; give a readable file") from exc
    try:
        values = json.loads(text) if file.suffix.lower() == ".json" else tomllib.loads(text)
    except ValueError as exc:
        raise UnfitError(f"the description {file} is no {file.suffix[1:].upper()}: {exc}") from exc
    if not isinstance(values, dict):
        raise UnfitError(f"the description {file} must be a table with the field layout; see docs/models.md")
    try:
        return _File(**values)
    except ValidationError as exc:
        raise _unfit(file, exc) from exc


def _unfit(file: Path, exc: ValidationError, where: str = "") -> UnfitError:
    first = exc.errors()[0]
    field = where + ".".join(str(part) for part in first["loc"])
    message = first["msg"][:1].lower() + first["msg"][1:]
    return UnfitError(f"the description {file}: {field}: {message}; see docs/models.md")
