"""Draw a mask on a face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, GrayImage, ImageBgr
from common.errors import UndrawableFace
from common.jpeg_compression import JpegCompression
from workers.masks.compress import compress
from workers.masks.fitting import Box, Wearer, WornMask, fit_masks
from workers.masks.loops import loop_color
from workers.masks.planes import Field, shares, wide
from workers.masks.pose import Pose
from workers.masks.reading import FaceReading
from workers.masks.render import Picture, render, throw_shadow
from workers.masks.spec import MaskSpec
from workers.masks.straps import tie_loop


@dataclass(frozen=True, slots=True)
class PaintedMask:
    """A mask that was painted.

    Attributes:
        changed: x1, y1, x2, y2 outside which nothing changed.
        window: of the mask without its shadow.
        cover: (h, w) uint8 how far it covers the window, 0..255.
        reading: of the face, for the next mask on it.
    """

    changed: Box
    window: Box
    cover: GrayImage
    reading: FaceReading

    @property
    def pose(self) -> Pose:
        """How the head is turned."""
        return self.reading.pose

    def seen(self) -> tuple[Box | None, list[list[int]] | None]:
        """Return what is covered at least by half; None where nothing is.

        Returns:
            Its box, maxima exclusive, and the outline of its largest part, [x, y] in pixels, to within a pixel or two.
        """
        shape = np.asarray(cv2.threshold(self.cover, 127, 255, cv2.THRESH_BINARY)[1], np.uint8)
        outlines, _ = cv2.findContours(
            shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=self.window[:2]
        )
        if not outlines:
            return None, None
        x, y, width, height = cv2.boundingRect(shape)
        left, top = self.window[0] + x, self.window[1] + y
        largest = outlines[0] if len(outlines) == 1 else max(outlines, key=cv2.contourArea)
        coarse = cv2.approxPolyDP(largest, max(1.0, 0.01 * max(shape.shape)), True)
        points: list[list[int]] = np.asarray(coarse, np.int32).reshape(-1, 2).tolist()
        return (left, top, left + width, top + height), points


def draw(
    image_bgr: ImageBgr,
    landmarks: FloatArray,
    mask_spec: MaskSpec,
    rng: np.random.Generator,
    *,
    limit_xyxy: tuple[float, float, float, float] | None = None,
) -> tuple[ImageBgr, GrayImage]:
    """Return a new image with the mask, and (H, W) uint8 how far each pixel is covered, 0..255.

    Args:
        image_bgr: (H, W, 3) uint8; stays as it is.
        landmarks: (68, 2) x, y in pixels, iBUG order; may lie outside the image.
        mask_spec: what is drawn.
        rng: gives folds, weave and noise.
        limit_xyxy: no pixel outside changes; maxima exclusive. Default: `default_limit`.

    Raises:
        UndrawableFace: `too-small`, `landmarks-unsure` or `out-of-frame`.
    """
    canvas = image_bgr.copy()
    alpha = np.zeros(image_bgr.shape[:2], dtype=np.uint8)
    paint(canvas, alpha, landmarks, mask_spec, rng, limit_xyxy=limit_xyxy)
    return canvas, alpha


def paint(
    canvas_bgr: ImageBgr,
    alpha: GrayImage,
    landmarks: FloatArray,
    mask_spec: MaskSpec,
    rng: np.random.Generator,
    *,
    limit_xyxy: tuple[float, float, float, float] | None = None,
    light_from: ImageBgr | None = None,
    compression: JpegCompression | None = None,
) -> Box:
    """Draw a mask into an image in place, and return the x1, y1, x2, y2 outside which nothing changed.

    Args:
        canvas_bgr: (H, W, 3) uint8; changed where the mask covers it, and darkened where its shadow falls.
        alpha: (H, W) uint8; the mask's cover is added to what is there.
        landmarks, mask_spec, rng, limit_xyxy: as in `draw`.
        light_from: the image before any mask was painted, from which light, sharpness and noise are read;
            default the canvas.
        compression: as in `paint_mask`.

    Raises:
        UndrawableFace: before any pixel is touched.
    """
    _check_images(canvas_bgr, alpha)
    source = canvas_bgr if light_from is None else light_from
    (worn,) = fit_masks([Wearer(source, np.asarray(landmarks, np.float64), mask_spec, limit_xyxy)])
    if isinstance(worn, UndrawableFace):
        raise worn
    return paint_mask(canvas_bgr, alpha, worn, rng, compression).changed


def paint_mask(
    canvas_bgr: ImageBgr,
    alpha: GrayImage,
    worn: WornMask,
    rng: np.random.Generator,
    compression: JpegCompression | None = None,
) -> PaintedMask:
    """Draw a mask into an image in place, and return what was painted.

    Args:
        canvas_bgr: (H, W, 3) uint8; changed where the mask covers it, and darkened where its shadow falls.
        alpha: (H, W) uint8; the mask's cover is added to what is there.
        worn: of `fit_masks`, by the image before any mask was painted.
        rng: gives folds, weave and noise.
        compression: of the JPEG whose pixels the canvas has; the mask shows the same blocks as they do.
    """
    window = _window(worn)
    around = _grown(window, worn.shadow_px, worn.limit)
    picture = render(worn, window, rng)
    _darken(_part(canvas_bgr, around), throw_shadow(worn, picture.cover, window, around))
    color = loop_color(worn.spec)
    unit, blur_px = worn.reading.frame.unit, worn.reading.optics.blur_px
    ties = [
        tied
        for loop in worn.loops
        if (tied := tie_loop(canvas_bgr, loop, color, worn.light, unit, blur_px, worn.limit))
    ]
    covers = [(window, _blend(_part(canvas_bgr, window), picture)), *ties]
    for box, cover in covers:
        under = _part(alpha, box)
        np.maximum(under, cover, out=under)
    whole, cover = _united(covers)
    if compression is not None:
        compress(canvas_bgr, whole, cover, compression)
    return PaintedMask(_hull([around, *(box for box, _ in ties)]), whole, cover, worn.reading)


def _hull(boxes: Sequence[Box]) -> Box:
    """Return the box around boxes."""
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)


def _united(covers: Sequence[tuple[Box, GrayImage]]) -> tuple[Box, GrayImage]:
    """Return one cover of all boxes from those of mask and loops."""
    hull = _hull([box for box, _ in covers])
    whole = np.zeros((hull[3] - hull[1], hull[2] - hull[0]), dtype=np.uint8)
    for (x1, y1, x2, y2), cover in covers:
        part = whole[y1 - hull[1] : y2 - hull[1], x1 - hull[0] : x2 - hull[0]]
        np.maximum(part, cover, out=part)
    return hull, whole


def _darken(skin: ImageBgr, shadow: Field) -> None:
    """Take a part of its light from a part of the image, in place."""
    skin[...] = cv2.multiply(skin, wide(1 - shadow), dtype=cv2.CV_8U)


def _blend(skin: ImageBgr, picture: Picture) -> GrayImage:
    """Lay a mask over a part of the image; return its cover, 0..255."""
    cover = np.asarray(cv2.convertScaleAbs(picture.cover, alpha=255), np.uint8)
    share = shares(cover)
    mixed = cv2.blendLinear(picture.color, skin.astype(np.float32), share, 1 - share)
    # Rounds, and stops at 0 and 255.
    skin[...] = cv2.addWeighted(mixed, 1, mixed, 0, 0, dtype=cv2.CV_8U)
    return cover


def _part(image: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.uint8]:
    """Return the view of an image's pixels in a box."""
    x1, y1, x2, y2 = box
    return image[y1:y2, x1:x2]


def _grown(box: Box, by: int, limit: Box) -> Box:
    """Return a box grown on all sides, within a limit."""
    x1, y1, x2, y2 = box
    return max(x1 - by, limit[0]), max(y1 - by, limit[1]), min(x2 + by, limit[2]), min(y2 + by, limit[3])


def _window(worn: WornMask) -> Box:
    """Return the part of the limit that mask and loops can touch."""
    left, top, right, bottom = worn.mesh.box
    margin, limit = worn.margin_px, worn.limit
    x1, y1 = math.floor(left) - margin, math.floor(top) - margin
    x2, y2 = math.ceil(right) + margin + 1, math.ceil(bottom) + margin + 1
    return max(x1, limit[0]), max(y1, limit[1]), min(x2, limit[2]), min(y2, limit[3])


def _check_images(canvas_bgr: ImageBgr, alpha: GrayImage) -> None:
    """Raise ValueError unless canvas and alpha are a pair."""
    if canvas_bgr.ndim != 3 or canvas_bgr.shape[2] != 3 or canvas_bgr.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8, got {canvas_bgr.shape} {canvas_bgr.dtype}")
    if alpha.shape != canvas_bgr.shape[:2] or alpha.dtype != np.uint8:
        raise ValueError(f"alpha must be {canvas_bgr.shape[:2]} uint8, got {alpha.shape} {alpha.dtype}")
