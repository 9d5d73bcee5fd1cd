"""MTCNN: three networks in a row, over a user's three ONNX files.

Zhang et al. 2016, "Joint Face Detection and Alignment Using Multi-task Cascaded Convolutional Networks". P-Net
looks at every size of the picture in windows of 12 pixels, 2 apart; R-Net (24×24) and O-Net (48×48) judge what
is left and move its sides by fractions of its width and height; O-Net adds five points.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.errors import UnfitError
from workers.descriptions import Decode, Description, InputForm, read_description
from workers.detectors.base import Detection
from workers.detectors.batching import BatchRunner
from workers.detectors.boxes import nms
from workers.detectors.cascade import cut_square, moved, nms_by_smaller, squares_around
from workers.detectors.cells import softmax
from workers.detectors.described import finish
from workers.detectors.frames import to_input
from workers.detectors.layouts import Candidates
from workers.opening import open_network
from workers.sessions import Provider, Session, provider_of, trial_run

_STAGES = ("pnet", "rnet", "onet")
_CELL, _STRIDE = 12, 2
_SIDES = {"rnet": 24, "onet": 48}
_BATCH = 128
# Of the published cascade: within one size, between sizes and behind each stage.
_NMS_WITHIN, _NMS_BETWEEN = 0.5, 0.7
PUBLISHED_INPUT = {"color": "rgb", "mean": (127.5, 127.5, 127.5), "scale": 1 / 128}


class Mtcnn:
    """Detector over P-Net, R-Net and O-Net."""

    name = "mtcnn"
    batch = 1

    def __init__(
        self,
        sessions: Sequence[Session],
        description: Description,
        *,
        score: float,
        nms_iou: float,
        side: int,
    ) -> None:
        """Take the three open sessions; thresholds and side as in CenterFace."""
        self.provider: Provider = provider_of(sessions[0])
        self._form: InputForm = description.input
        decode: Decode = description.decode
        self._score, self._nms_iou, self._side = score, nms_iou, side
        self._min_size = decode.min_size or 20.0
        self._factor = decode.factor or 0.709
        thresholds = decode.thresholds or (0.6, 0.7, 0.7)
        self._thresholds = thresholds[0], thresholds[1], max(thresholds[2], score)
        self._is_raw = decode.activation == "softmax"
        self._runners = [
            BatchRunner(one, self._to_input, _BATCH if k and one.get_inputs()[0].shape[0] != 1 else 1)
            for k, one in enumerate(sessions)
        ]
        self._names = [[output.name for output in one.get_outputs()] for one in sessions]
        self._described = description.outputs

    def detect(self, images_bgr: Sequence[ImageBgr]) -> list[Detection]:
        """Return the faces of each image, in order, in pixels of that image."""
        return [self._detect_one(image) for image in images_bgr]

    def check(self) -> None:
        """Run each network once on black.

        Raises:
            ValueError: an output is missing.
        """
        for stage, side in enumerate((2 * _CELL, *_SIDES.values())):
            (outputs,) = self._runners[stage].run([np.zeros((side, side, 3), dtype=np.uint8)])
            self._by_role(stage, outputs)

    def _detect_one(self, image_bgr: ImageBgr) -> Detection:
        height, width = image_bgr.shape[:2]
        ratio = min(1.0, self._side / max(width, height))
        size_wh = max(1, round(width * ratio)), max(1, round(height * ratio))
        reduced = image_bgr
        if ratio < 1:
            reduced = np.asarray(cv2.resize(image_bgr, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        boxes = self._propose(reduced)
        boxes, _, _ = self._refine(reduced, boxes, 1)
        boxes, scores, points = self._refine(reduced, boxes, 2)
        kept = nms_by_smaller(boxes, scores, _NMS_BETWEEN)
        factors = np.array(size_wh) / (width, height)
        candidates = Candidates(boxes[kept], scores[kept], points[kept])
        return finish(candidates, factors, (width, height), self._score, self._nms_iou)

    def _propose(self, image_bgr: ImageBgr) -> FloatArray:
        """P-Net over the pyramid: (N, 4) boxes."""
        height, width = image_bgr.shape[:2]
        scale = _CELL / self._min_size
        boxes: list[FloatArray] = [np.zeros((0, 4))]
        scores: list[FloatArray] = [np.zeros(0)]
        while min(height, width) * scale >= _CELL:
            size_wh = max(_CELL, round(width * scale)), max(_CELL, round(height * scale))
            level = np.asarray(cv2.resize(image_bgr, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
            found, sure = self._windows(level, np.array(size_wh) / (width, height))
            kept = nms(found, sure, _NMS_WITHIN)
            boxes.append(found[kept])
            scores.append(sure[kept])
            scale *= self._factor
        together, surely = np.concatenate(boxes), np.concatenate(scores)
        return together[nms(together, surely, _NMS_BETWEEN)]

    def _windows(self, level: ImageBgr, factors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """P-Net's boxes and scores on one size, in pixels of the picture."""
        (outputs,) = self._runners[0].run([level])
        answers = self._by_role(0, outputs)
        scores, offsets = (
            np.moveaxis(answers[role][0].astype(np.float64), 0, -1) for role in ("scores", "boxes")
        )
        surely = self._face(scores)
        rows, columns = np.nonzero(surely >= self._thresholds[0])
        corners = np.stack([columns, rows], axis=1) * float(_STRIDE)
        windows = np.concatenate([corners, corners + _CELL], axis=1) / np.tile(factors, 2)
        return moved(windows, offsets[rows, columns]), surely[rows, columns]

    def _refine(
        self, image_bgr: ImageBgr, boxes: FloatArray, stage: int
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """R-Net or O-Net over squares around boxes: boxes, scores and points (N, 5, 2), zeros of R-Net."""
        squares = np.round(squares_around(boxes))
        crops = [cut_square(image_bgr, square, _SIDES[_STAGES[stage]]) for square in squares]
        surely: list[FloatArray] = [np.zeros(0)]
        offsets: list[FloatArray] = [np.zeros((0, 4))]
        fractions: list[FloatArray] = [np.zeros((0, 10))]
        for outputs in self._runners[stage].run(crops):
            answers = self._by_role(stage, outputs)
            surely.append(self._face(answers["scores"].astype(np.float64)))
            offsets.append(answers["boxes"].astype(np.float64))
            fractions.append(answers.get("points", np.zeros((len(offsets[-1]), 10))).astype(np.float64))
        scores = np.concatenate(surely)
        accepted = scores >= self._thresholds[stage]
        squares, scores = squares[accepted], scores[accepted]
        # Five x, then five y, in fractions of the square.
        parts = np.concatenate(fractions)[accepted].reshape(-1, 2, 5).transpose(0, 2, 1)
        points = squares[:, None, :2] + parts * (squares[:, 2:] - squares[:, :2])[:, None]
        judged = moved(squares, np.concatenate(offsets)[accepted])
        if stage == 2:
            return judged, scores, points
        kept = nms(judged, scores, _NMS_BETWEEN)
        return judged[kept], scores[kept], points[kept]

    def _by_role(self, stage: int, outputs: Sequence[Any]) -> dict[str, Any]:
        """Outputs by what they are: the description's names, else by the length of axis 1."""
        widths = {2: "scores", 4: "boxes", 10: "points"}
        named = {name: role.partition("_")[2] for role, names in self._described.items() for name in names
                 if role.startswith(_STAGES[stage] + "_")}  # fmt: skip
        answers = {}
        for name, output in zip(self._names[stage], outputs, strict=True):
            role = named.get(name) or (widths.get(output.shape[1]) if output.ndim >= 2 else None)
            if role is not None:
                answers[role] = output
        wanted = {"scores", "boxes"} | ({"points"} if stage == 2 else set())
        if not wanted <= set(answers):
            shapes = ", ".join(
                f"{name} {list(one.shape)}" for name, one in zip(self._names[stage], outputs, strict=True)
            )
            raise ValueError(
                f"{_STAGES[stage]} has no output for {', '.join(sorted(wanted - set(answers)))}: {shapes}"
            )
        return answers

    def _face(self, scores: FloatArray) -> FloatArray:
        """The second of two scores, as a probability."""
        shares: FloatArray = (softmax(scores) if self._is_raw else scores)[..., 1]
        return shares

    def _to_input(self, images: Sequence[ImageBgr]) -> Any:
        return to_input(images, self._form)


def open_mtcnn(
    path: Path, *, device: str, threads: int, score: float, nms_iou: float, side: int, cache_dir: Path | None
) -> Mtcnn:
    """Open the cascade by its description; raises UnfitError where a file is missing or another."""
    description = read_description(path, "mtcnn", PUBLISHED_INPUT)
    if set(description.models) != set(_STAGES):
        raise UnfitError(
            f"the detector mtcnn needs a description with the files of its three networks, got {path}: "
            "give a TOML file with a table [models] that has pnet, rnet and onet; see docs/models.md"
        )
    sessions = []
    for stage in _STAGES:
        model = description.models[stage]
        label = f"the detector's {stage} {model}"
        sessions.append(open_network(model, device=device, threads=threads, cache_dir=cache_dir, label=label))
        if len(sessions[-1].get_inputs()) != 1:
            raise UnfitError(f"the model {model} must have one input, got {len(sessions[-1].get_inputs())}")
    detector = Mtcnn(sessions, description, score=score, nms_iou=nms_iou, side=side)
    with trial_run(path, "an MTCNN cascade"):
        detector.check()
    return detector
