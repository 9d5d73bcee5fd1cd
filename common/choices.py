"""The words that options take, as types; imports nothing heavy, so that `--help` answers at once."""

from __future__ import annotations

from typing import Literal, TypeAlias

DetectorName: TypeAlias = Literal[
    "centerface", "rfb", "scrfd", "retinaface", "yunet", "s3fd", "resnet-ssd", "mtcnn", "manual"
]
DetectorPrecision: TypeAlias = Literal["auto", "fp32", "fp16", "int8"]
LandmarksName: TypeAlias = Literal["dlib68", "onnx98", "fan"]
Normalization: TypeAlias = Literal["none", "clahe", "hist", "mean"]
Phases: TypeAlias = Literal["auto", "together", "serial"]
