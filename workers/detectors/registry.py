"""Open a detector by the word that `--detector` takes."""

from __future__ import annotations

from pathlib import Path

from common.choices import DetectorPrecision
from common.errors import UsageError
from workers.detectors.base import Detector
from workers.detectors.centerface import open_centerface
from workers.detectors.described import open_described
from workers.detectors.layouts import LAYOUTS
from workers.detectors.mtcnn import open_mtcnn
from workers.detectors.rfb import open_rfb

DETECTORS = ("centerface", "rfb", *LAYOUTS, "mtcnn")


def open_detector(
    name: str,
    model_path: Path,
    *,
    device: str,
    threads: int,
    score: float = 0.5,
    nms: float = 0.3,
    side: int = 640,
    batch: int | None = None,
    cache_dir: Path | None = None,
    precision: DetectorPrecision = "auto",
) -> Detector:
    """Open a detector in this process.

    Args:
        name: one of `DETECTORS`.
        device: `auto`, `cpu` or `cuda:N`.
        threads: CPU threads for one operator.
        score: faces below it are dropped.
        nms: of two boxes whose IoU is above it, the weaker is dropped.
        side: the longer side, in pixels, that images are reduced to; for detectors that take any size.
        batch: the most images given to the network at once; None: what suits the device.
        cache_dir: where prepared graphs are kept; None: nowhere.
        precision: of centerface; the others compute as their files say.

    Raises:
        UsageError: unknown name.
        UnfitError: the file is not this detector, or the device cannot be used.
    """
    if name == "centerface":
        return open_centerface(
            model_path,
            device=device,
            threads=threads,
            score=score,
            nms_iou=nms,
            side=side,
            batch=batch,
            cache_dir=cache_dir,
            precision=precision,
        )
    if name == "rfb":
        return open_rfb(
            model_path, device=device, threads=threads, score=score, nms_iou=nms, cache_dir=cache_dir
        )
    if name in LAYOUTS:
        return open_described(
            name,
            model_path,
            device=device,
            threads=threads,
            score=score,
            nms_iou=nms,
            side=side,
            batch=batch,
            cache_dir=cache_dir,
        )
    if name == "mtcnn":
        return open_mtcnn(
            model_path,
            device=device,
            threads=threads,
            score=score,
            nms_iou=nms,
            side=side,
            cache_dir=cache_dir,
        )
    raise UsageError(f"the detector must be one of {', '.join(DETECTORS)}, got {name}")
