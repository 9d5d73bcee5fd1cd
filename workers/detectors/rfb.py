"""Ultra-Light RFB: a small, fast detector without points, by the path of the user's file; two forms.

Plain: `input` [1, 3, H, W] → `scores` [1, N, 2] (background, face), `boxes` [1, N, 4] as x1 y1 x2 y2 in 0–1.
With post-processing inside: `input`, `iou_threshold` [1], `score_threshold` [1] → `detected_boxes` [n, 4],
classes [n], `detected_scores` [n].
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from common.errors import UnfitError
from workers.detectors.base import Detection, rounded
from workers.detectors.boxes import clip_boxes, nms, touching_image
from workers.opening import open_network
from workers.sessions import Provider, Session, provider_of, trial_run

_USUAL_HW = (240, 320)
_PLAIN = {"scores", "boxes"}
_FINISHED = {"detected_boxes", "detected_scores"}
_THRESHOLDS = {"iou_threshold", "score_threshold"}


class Rfb:
    """Detector over an RFB file of either form."""

    name = "rfb"
    batch = 1

    def __init__(self, session: Session, *, score: float, nms_iou: float) -> None:
        """Take an open session that `open_rfb` has looked at; thresholds as in CenterFace."""
        self.provider: Provider = provider_of(session)
        self._session = session
        self._score = score
        self._nms_iou = nms_iou
        self._input_wh = _input_wh(session)
        inputs = {value.name: value.type for value in session.get_inputs()}
        thresholds = {"iou_threshold": nms_iou, "score_threshold": score}
        self._thresholds = {
            name: np.array([value], dtype=np.float64 if "double" in inputs[name] else np.float32)
            for name, value in thresholds.items()
            if name in inputs
        }

    def detect(self, images_bgr: Sequence[ImageBgr]) -> list[Detection]:
        """Return the faces of each image, in order, in pixels of that image; one network run each."""
        return [self._detect_one(image) for image in images_bgr]

    def _detect_one(self, image_bgr: ImageBgr) -> Detection:
        size_wh = image_bgr.shape[1], image_bgr.shape[0]
        boxes, scores = self._run(_to_input(image_bgr, self._input_wh))
        boxes *= np.tile(np.array(size_wh, dtype=np.float64), 2)
        accepted = (scores >= self._score) & touching_image(boxes, size_wh)
        boxes, scores = boxes[accepted], scores[accepted]
        kept = nms(boxes, scores, self._nms_iou)
        return rounded(clip_boxes(boxes[kept], size_wh), scores[kept], None)

    def _run(self, blob: npt.NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
        """Return boxes (N, 4) in 0–1 and scores (N,), both float64."""
        names = [output.name for output in self._session.get_outputs()]
        results: dict[str, npt.NDArray[Any]] = dict(
            zip(names, self._session.run(None, {"input": blob, **self._thresholds}), strict=True)
        )
        if set(names) >= _PLAIN:
            return results["boxes"][0].astype(np.float64), results["scores"][0, :, 1].astype(np.float64)
        boxes = results["detected_boxes"].reshape(-1, 4).astype(np.float64)
        return _normalised(boxes, self._input_wh), results["detected_scores"].reshape(-1).astype(np.float64)


def open_rfb(
    path: Path, *, device: str, threads: int, score: float, nms_iou: float, cache_dir: Path | None
) -> Rfb:
    """Open the detector; raises UnfitError where the file has neither form."""
    session = open_network(
        path, device=device, threads=threads, cache_dir=cache_dir, label=f"the detector {path}"
    )
    inputs = {value.name for value in session.get_inputs()}
    outputs = {value.name for value in session.get_outputs()}
    plain = inputs == {"input"} and outputs >= _PLAIN
    finished = inputs == {"input"} | _THRESHOLDS and outputs >= _FINISHED
    if not (plain or finished):
        raise UnfitError(
            f"the model {path} is no RFB detector: expected input → scores, boxes or input, iou_threshold, "
            f"score_threshold → detected_boxes, detected_scores, got {', '.join(sorted(inputs))} → "
            f"{', '.join(sorted(outputs))}; give another --detector or --detector-model"
        )
    detector = Rfb(session, score=score, nms_iou=nms_iou)
    with trial_run(path, "an RFB detector"):
        detector.detect([np.zeros((64, 64, 3), dtype=np.uint8)])
    return detector


def _input_wh(session: Session) -> tuple[int, int]:
    shape = next(value.shape for value in session.get_inputs() if value.name == "input")
    declared = [length for length in shape[2:4] if isinstance(length, int) and length > 0]
    height, width = declared if len(declared) == 2 else _USUAL_HW
    return width, height


def _to_input(image_bgr: ImageBgr, size_wh: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return (1, 3, H, W) float32 RGB, (x − 127) / 128, the whole picture squashed into the size."""
    small = cv2.resize(image_bgr, size_wh, interpolation=cv2.INTER_LINEAR)
    planes = small[None, ..., ::-1].transpose(0, 3, 1, 2).astype(np.float32, order="C")
    scaled: npt.NDArray[np.float32] = (planes - np.float32(127)) / np.float32(128)
    return scaled


def _normalised(boxes_xyxy: FloatArray, input_wh: tuple[int, int]) -> FloatArray:
    """Return (N, 4) boxes in 0–1, whether the graph gives them so or in pixels of its input.

    No file says which. A box in 0–1 can reach a little over the border but not to 2; one in pixels that ends
    before the second pixel would be no face.
    """
    if len(boxes_xyxy) and np.abs(boxes_xyxy).max() > 2:
        return boxes_xyxy / np.tile(np.array(input_wh, dtype=np.float64), 2)
    return boxes_xyxy
