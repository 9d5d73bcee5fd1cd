"""dlib's ResNet: 128 numbers from a face cut by its 68 points."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.errors import UnfitError
from workers.identity.base import Embedding, unit

_CHIP = 150
"""Side of the network's input, and padding around the face: dlib's own example of face recognition."""
_PADDING = 0.25
_FACE = 300.0
"""The longer side of the points in the picture that dlib cuts from: it takes points as whole pixels, which on a
face of 30 pixels moved embeddings by as much as another person does."""


class DlibResnet:
    """Embedder over `dlib_face_recognition_resnet_model_v1.dat`."""

    def __init__(self, network: Any, name: str) -> None:
        """Take a loaded `dlib.face_recognition_model_v1`."""
        self._network = network
        self.name = name

    def embed(self, image_bgr: ImageBgr, points68: FloatArray, points5: FloatArray) -> Embedding:
        """Return (128,); arguments as in `Embedder`."""
        patch, points = _face_patch(image_bgr, points68)
        return unit(self._network.compute_face_descriptor(_chip(patch, points)))


def open_dlib_resnet(path: Path, name: str) -> DlibResnet:
    """Load the network (22 MB); raises UnfitError where the file is none."""
    try:
        return DlibResnet(dlib.face_recognition_model_v1(str(path)), name)
    except RuntimeError as exc:
        raise UnfitError(
            f"the model {path} is no dlib face recognition network; give another --identity-model"
        ) from exc


def _face_patch(image_bgr: ImageBgr, points68: FloatArray) -> tuple[ImageBgr, FloatArray]:
    """The surroundings of a face at a size at which whole pixels are fine, black outside the image.

    Raises:
        ValueError: points that coincide, are not finite or lie wholly outside the image.
    """
    low, high = points68.min(axis=0), points68.max(axis=0)
    extent = float((high - low).max())
    if not np.isfinite(extent) or extent <= 0:
        raise ValueError("the points of a face must differ and be finite")
    left, top = np.floor((low + high) / 2 - extent).astype(int).tolist()
    reach = math.ceil(2 * extent) + 1
    height, width = image_bgr.shape[:2]
    inside = image_bgr[max(0, top) : max(0, top + reach), max(0, left) : max(0, left + reach)]
    if inside.size == 0:
        raise ValueError("the points of a face lie outside the image")
    black = (max(0, -top), max(0, top + reach - height), max(0, -left), max(0, left + reach - width))
    around = cv2.copyMakeBorder(inside, *black, cv2.BORDER_CONSTANT, value=0)
    scale = _FACE / extent
    side = round(reach * scale)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    patch = np.asarray(cv2.resize(around, (side, side), interpolation=how), np.uint8)
    # Middles of pixels, as cv2.resize counts.
    return patch, (points68 - (left, top) + 0.5) * (side / reach) - 0.5


def _chip(patch_bgr: ImageBgr, points68: FloatArray) -> Any:
    """dlib's own alignment: (150, 150, 3), red first."""
    points = dlib.points([dlib.point(round(x), round(y)) for x, y in points68.tolist()])
    low, high = points68.min(axis=0).astype(int), points68.max(axis=0).astype(int)
    shape = dlib.full_object_detection(dlib.rectangle(*low.tolist(), *high.tolist()), points)
    return dlib.get_face_chip(
        np.ascontiguousarray(patch_bgr[:, :, ::-1]), shape, size=_CHIP, padding=_PADDING
    )
