"""CenterFace: boxes and five points from one fully convolutional network.

The network (Xu et al. 2019, "CenterFace: Joint Face Detection and Alignment Using Face as Point") takes a
picture of any size divisible by 32 and answers on a grid of 4×4 pixel cells: how surely a cell is the
centre of a face, the logarithm of the face's height and width in cells, where in the cell the centre is,
and the five points as fractions of the box.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from common.choices import DetectorPrecision
from common.errors import UnfitError
from workers.detectors.base import Detection, rounded
from workers.detectors.batching import BatchRunner
from workers.detectors.boxes import clip_boxes, nms, touching_image
from workers.detectors.centerface_graphs import form_on_cpu, variant_for
from workers.detectors.centerface_input import (
    MULTIPLE,
    padded_size,
    reduced_size,
    size_of,
    to_input,
    to_pixels,
)
from workers.opening import open_network
from workers.sessions import Session, is_for_cpu, provider_of, trial_run

_CELL = 4
_OUTPUTS = ["537", "538", "539", "540"]
_FREE_AXES = {0: "n", 2: "h", 3: "w"}

_log = logging.getLogger(__name__)


class CenterFace:
    """Detector over `centerface.onnx`."""

    name = "centerface"

    def __init__(
        self,
        session: Session,
        *,
        score: float,
        nms_iou: float,
        side: int,
        batch: int,
        precision: str = "fp32",
    ) -> None:
        """Take an open session.

        Args:
            score: faces below this are dropped.
            nms_iou: of two boxes that overlap more than this, the weaker is dropped.
            side: images are reduced so that the longer side has at most this many pixels; never enlarged.
            batch: the most images given to the network at once.
            precision: that of the session's graph, told with the provider.
        """
        self.provider: str = provider_of(session) + ("" if precision == "fp32" else f" {precision}")
        self._score = score
        self._nms_iou = nms_iou
        self._side = side
        takes_pixels = session.get_inputs()[0].type == "tensor(uint8)"
        fill = to_pixels if takes_pixels else to_input
        self._runner: BatchRunner[ImageBgr] = BatchRunner(session, None, batch, fill=partial(fill, side))

    @property
    def batch(self) -> int:
        """The most images given to the network at once; fewer after the device ran out of memory."""
        return self._runner.batch

    def detect(self, images_bgr: Sequence[ImageBgr]) -> list[Detection]:
        """Return the faces of each image, in order, in pixels of that image.

        An image's faces do not depend on the images it comes with: the padding follows from its own size, and
        only images of one padded size share a batch.
        """
        groups: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images_bgr):
            groups.setdefault(padded_size(size_of(image), self._side), []).append(index)
        found: dict[int, Detection] = {}
        for members in groups.values():
            waiting = iter(members)
            runs = self._runner.run([images_bgr[index] for index in members])
            # On a GPU answers are read while the next batch is under way. On the CPU all together, after all runs.
            for outputs in runs if self._runner.overlaps else list(runs):
                for heat, scale, offset, points in zip(*outputs, strict=True):
                    index = next(waiting)
                    candidates = _decode(heat[0], scale, offset, points, self._score)
                    found[index] = self._finish(candidates, size_of(images_bgr[index]))
        return [found[index] for index in range(len(images_bgr))]

    def try_out(self) -> bool:
        """Run once on a picture half black and half white; tell whether the answers are numbers.

        Raises:
            ValueError: they have other shapes than CenterFace's.
        """
        frame = np.zeros((MULTIPLE, MULTIPLE, 3), np.uint8)
        frame[:, MULTIPLE // 2 :] = 255
        (answers,) = self._runner.run([frame])
        cells = MULTIPLE // _CELL
        shapes = [answer.shape for answer in answers]
        if shapes != [(1, channels, cells, cells) for channels in (1, 2, 2, 10)]:
            raise ValueError(f"its answers have the shapes {shapes}")
        return all(bool(np.isfinite(answer).all()) for answer in answers)

    def warm_up(self) -> None:
        """Run on a full batch of the largest usual pictures, 4:3.

        A GPU takes its memory and chooses its algorithms then, and a batch too large for it is halved before the
        first picture of a job.
        """
        blank = np.zeros((max(1, self._side * 3 // 4), self._side, 3), np.uint8)
        self.detect([blank] * self.batch)

    def _finish(
        self, candidates: tuple[FloatArray, FloatArray, FloatArray], size_wh: tuple[int, int]
    ) -> Detection:
        boxes, scores, points = candidates
        reduced_wh = reduced_size(size_wh, self._side)
        if reduced_wh != size_wh:
            # Width and height by themselves: they differ by the rounding.
            factors = np.array(reduced_wh, np.float64) / np.array(size_wh, np.float64)
            boxes, points = boxes / np.concatenate([factors, factors]), points / factors
        inside = touching_image(boxes, size_wh)
        if not inside.all():
            boxes, scores, points = boxes[inside], scores[inside], points[inside]
        kept = nms(boxes, scores, self._nms_iou)
        return rounded(clip_boxes(boxes[kept], size_wh), scores[kept], points[kept])


def open_centerface(
    path: Path,
    *,
    device: str,
    threads: int,
    score: float,
    nms_iou: float,
    side: int,
    batch: int | None,
    cache_dir: Path | None,
    precision: DetectorPrecision = "auto",
) -> CenterFace:
    """Open the detector.

    Args:
        precision: `auto`: on a GPU fp16; on a CPU int8 where that is known to be as good and quicker, else fp32.
            `int8` runs on the CPU.

    Raises:
        UnfitError: the file is no CenterFace, or int8 is asked for on a GPU.
    """
    if precision == "int8" and device.startswith("cuda"):
        raise UnfitError(f"--detector-precision int8 runs on the CPU, not on {device}; use fp16")
    device = "cpu" if precision == "int8" or is_for_cpu(device) else device
    on_gpu = device != "cpu"
    form = precision if precision != "auto" else "fp16" if on_gpu else form_on_cpu(path)

    def again(device: str, precision: DetectorPrecision) -> CenterFace:
        return open_centerface(
            path,
            device=device,
            threads=threads,
            score=score,
            nms_iou=nms_iou,
            side=side,
            batch=batch,
            cache_dir=cache_dir,
            precision=precision,
        )

    label = f"the detector {path}"
    session = open_network(
        path,
        device=device,
        threads=threads,
        cache_dir=cache_dir,
        label=label,
        axes=_FREE_AXES,
        variant=variant_for(form, on_gpu, path, label),
    )
    if on_gpu and provider_of(session) == "CPU":
        # Of a GPU that seemed to be there; the graph for it is a slow one here.
        return again("cpu", precision)
    names = [output.name for output in session.get_outputs()]
    if len(session.get_inputs()) != 1 or names != _OUTPUTS:
        raise UnfitError(
            f"the model {path} is no CenterFace: its outputs must be {', '.join(_OUTPUTS)}, "
            f"got {', '.join(names)}; give another --detector or --detector-model"
        )
    if batch is None:
        # On the CPU one image at a time is the fastest, by a quarter (27 against 34 ms at 512×384).
        batch = 16 if on_gpu else 1
    detector = CenterFace(session, score=score, nms_iou=nms_iou, side=side, batch=batch, precision=form)
    with trial_run(path, "a CenterFace"):
        if not detector.try_out():
            if precision == "auto":
                _log.warning("%s gives no numbers in %s: going on with fp32", label, form)
                return again(device, "fp32")
            raise ValueError(f"in {form} its answers are no numbers")
        if on_gpu:
            detector.warm_up()
    return detector


def _decode(
    heat: FloatArray, scale: FloatArray, offset: FloatArray, points: FloatArray, score: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return boxes (N, 4), scores (N,) and points (N, 5, 2) in pixels of the network's input.

    Args:
        heat: (h, w), 0–1.
        scale: (2, h, w), logarithm of height and width in cells.
        offset: (2, h, w), y and x of the centre in the cell, counted from its middle.
        points: (10, h, w), y and x of five points in turn, from the box's top left, in heights and widths.
        score: cells below this are left out.
    """
    # Flat: looked up by row and column it takes twice as long.
    places = np.flatnonzero(heat >= score)
    cells_yx = np.stack(np.divmod(places, heat.shape[1]), axis=1).astype(np.float64)
    sides_yx = np.exp(_at(scale, places)) * _CELL
    centres_yx = (cells_yx + 0.5 + _at(offset, places)) * _CELL
    corners_yx = centres_yx - sides_yx / 2
    fractions_yx = _at(points, places).reshape(-1, 5, 2)
    points_yx = corners_yx[:, None] + fractions_yx * sides_yx[:, None]
    boxes = np.concatenate([corners_yx[:, ::-1], (corners_yx + sides_yx)[:, ::-1]], axis=1)
    return boxes, heat.ravel()[places].astype(np.float64), points_yx[..., ::-1]


def _at(maps: FloatArray, places: npt.NDArray[np.intp]) -> FloatArray:
    """Return (N, C) float64, what (C, h, w) maps hold at flat places."""
    return maps.reshape(len(maps), -1)[:, places].T.astype(np.float64)
