"""What published detectors answer, turned into boxes: one function per layout, in pixels of the network's input.

Each takes the outputs of one picture by role, finest stride first, without the batch's axis, and gives every
candidate. Thresholds, suppression, clipping and the way back to the image are the same for all of them
(`workers.detectors.described`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from common.arrays import FloatArray
from workers.descriptions import Decode
from workers.detectors.cells import activated, cells, check_length, from_priors, grid

Outputs: TypeAlias = Mapping[str, Sequence[FloatArray]]


@dataclass(frozen=True)
class Candidates:
    """Boxes (N, 4), scores (N,) and points (N, 5, 2) or None; pixels of the network's input."""

    boxes_xyxy: FloatArray
    scores: FloatArray
    points5: FloatArray | None


Decoder: TypeAlias = Callable[[Outputs, tuple[int, int], Decode], Candidates]


@dataclass(frozen=True)
class Layout:
    """One family of detectors.

    Attributes:
        decode: from outputs to candidates.
        input: the `input` table of the published form.
        widths: role → length of the last axis (of the first, for maps) by which its outputs are told.
        names: role → names of the outputs, where the shape does not tell.
        optional: roles that may be missing.
        is_map: the outputs are (C, h, w) maps instead of (N, C) lists.
        is_single: the network answers for one picture at a time, whatever its input says.
    """

    decode: Decoder
    input: Mapping[str, Any]
    widths: Mapping[str, int]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    is_map: bool = False
    is_single: bool = False


def decode_scrfd(outputs: Outputs, size_wh: tuple[int, int], decode: Decode) -> Candidates:
    """SCRFD: distances from a cell's corner to the four sides, and offsets of the points, in strides.

    Guo et al. 2021, "Sample and Computation Redistribution for Efficient Face Detection"; insightface's files.
    Cells lie in rows; the anchors of a cell follow each other and share its corner.
    """
    strides, anchors = decode.strides or (8, 16, 32), decode.anchors or 2
    boxes: list[FloatArray] = []
    points: list[FloatArray] = []
    for stride, distances in zip(strides, outputs["boxes"], strict=True):
        corners = np.repeat(cells(size_wh, stride) * stride, anchors, axis=0)
        check_length(distances, len(corners), stride)
        boxes.append(
            np.concatenate([corners - distances[:, :2] * stride, corners + distances[:, 2:] * stride], 1)
        )
        if outputs.get("points"):
            offsets = outputs["points"][len(points)].reshape(-1, 5, 2)
            points.append(corners[:, None] + offsets * stride)
    scores = activated(np.concatenate([one.reshape(-1, 1) for one in outputs["scores"]]), decode, "none")[
        :, 0
    ]
    return Candidates(np.concatenate(boxes), scores, np.concatenate(points) if points else None)


def decode_retinaface(outputs: Outputs, size_wh: tuple[int, int], decode: Decode) -> Candidates:
    """RetinaFace: offsets from priors of two sizes a cell, on three strides, weighted by variances.

    Deng et al. 2019, "RetinaFace: Single-stage Dense Face Localisation in the Wild", with the SSD's encoding
    (Liu et al. 2016): centre + offset · v₀ · size, size · exp(offset · v₁); points as centres.
    """
    strides = decode.strides or (8, 16, 32)
    sizes = decode.min_sizes or ((16, 32), (64, 128), (256, 512))
    variances = decode.variances or (0.1, 0.2)
    priors = []
    for stride, sides in zip(strides, sizes, strict=True):
        middles = np.repeat((cells(size_wh, stride) + 0.5) * stride, len(sides), axis=0)
        squares = np.tile(np.array(sides, dtype=np.float64), len(middles) // len(sides))
        priors.append(np.column_stack([middles, squares]))
    prior = np.concatenate(priors)
    offsets = outputs["boxes"][0]
    check_length(offsets, len(prior), strides)
    column = 1 if decode.face_class is None else decode.face_class
    scores = activated(outputs["scores"][0], decode, "none")[:, column]
    points = None
    if outputs.get("points"):
        shifts = outputs["points"][0].reshape(-1, 5, 2)
        points = prior[:, None, :2] + shifts * variances[0] * prior[:, None, 2:]
    return Candidates(from_priors(offsets, prior[:, :2], prior[:, 2:], variances), scores, points)


def decode_yunet(outputs: Outputs, size_wh: tuple[int, int], decode: Decode) -> Candidates:
    """YuNet: one anchor-free answer a cell; how surely a face times how surely anything, under a root.

    Wu et al. 2023, "YuNet: A Tiny Millisecond-level Face Detector"; OpenCV's file of March 2023. Centre and
    points in strides from the cell's corner, sizes as logarithms in strides.
    """
    strides = decode.strides or (8, 16, 32)
    boxes, scores, points = [], [], []
    for k, stride in enumerate(strides):
        corners = cells(size_wh, stride)
        shape = outputs["boxes"][k]
        check_length(shape, len(corners), stride)
        centres = (corners + shape[:, :2]) * stride
        halves = np.exp(shape[:, 2:]) * stride / 2
        boxes.append(np.concatenate([centres - halves, centres + halves], axis=1))
        surely = np.clip(outputs["scores"][k].reshape(-1), 0, 1) * np.clip(
            outputs["objects"][k].reshape(-1), 0, 1
        )
        scores.append(np.sqrt(surely))
        points.append((corners[:, None] + outputs["points"][k].reshape(-1, 5, 2)) * stride)
    return Candidates(np.concatenate(boxes), np.concatenate(scores), np.concatenate(points))


def decode_s3fd(outputs: Outputs, size_wh: tuple[int, int], decode: Decode) -> Candidates:
    """S3FD: maps of scores (2, h, w) and offsets (4, h, w) on six strides; one prior a cell, four strides wide.

    Zhang et al. 2017, "S³FD: Single Shot Scale-invariant Face Detector". A network with max-out background
    does that inside: two channels come out.
    """
    strides, variances = decode.strides or (4, 8, 16, 32, 64, 128), decode.variances or (0.1, 0.2)
    column = 1 if decode.face_class is None else decode.face_class
    boxes, scores = [], []
    for stride, score_map, offset_map in zip(strides, outputs["scores"], outputs["boxes"], strict=True):
        height, width = score_map.shape[1:]
        middles = (grid(width, height) + 0.5) * stride
        sides = np.full((len(middles), 1), 4.0 * stride)
        offsets = offset_map.reshape(4, -1).T
        boxes.append(from_priors(offsets, middles, sides, variances))
        scores.append(activated(score_map.reshape(score_map.shape[0], -1).T, decode, "softmax")[:, column])
    return Candidates(np.concatenate(boxes), np.concatenate(scores), None)


def decode_resnet_ssd(outputs: Outputs, size_wh: tuple[int, int], decode: Decode) -> Candidates:
    """ResNet-10 SSD (OpenCV's face detector): finished rows [picture, class, score, x1, y1, x2, y2] in 0–1."""
    rows = outputs["rows"][0].reshape(-1, 7)
    wanted = 1 if decode.face_class is None else decode.face_class
    rows = rows[np.round(rows[:, 1]) == wanted]
    return Candidates(rows[:, 3:7] * np.tile(np.array(size_wh, dtype=np.float64), 2), rows[:, 2], None)


_CAFFE_MEAN = (104.0, 117.0, 123.0)
_LISTS = {"scores": 1, "boxes": 4, "points": 10}

LAYOUTS: dict[str, Layout] = {
    "scrfd": Layout(
        decode_scrfd,
        {"color": "rgb", "mean": (127.5, 127.5, 127.5), "scale": 1 / 128},
        _LISTS,
        optional=frozenset({"points"}),
    ),
    "retinaface": Layout(
        decode_retinaface, {"mean": _CAFFE_MEAN}, {**_LISTS, "scores": 2}, optional=frozenset({"points"})
    ),
    "yunet": Layout(
        decode_yunet,
        {},
        {"boxes": 4, "points": 10},
        names={
            "scores": ("cls_8", "cls_16", "cls_32"),
            "objects": ("obj_8", "obj_16", "obj_32"),
        },
    ),
    "s3fd": Layout(
        decode_s3fd, {"mean": _CAFFE_MEAN, "multiple": 128}, {"scores": 2, "boxes": 4}, is_map=True
    ),
    "resnet-ssd": Layout(
        decode_resnet_ssd,
        {"size": (300, 300), "fit": "squash", "mean": (104.0, 177.0, 123.0)},
        {"rows": 7},
        is_single=True,
    ),
}
