"""Draw a mask on a face."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, GrayImage, ImageBgr
from workers.masks.frame import read_frame
from workers.masks.judge import judge_landmarks, judge_mesh
from workers.masks.light import read_light
from workers.masks.loops import lay_loops
from workers.masks.mesh import lay_mesh
from workers.masks.optics import read_optics
from workers.masks.pose import Pose, read_pose
from workers.masks.render import Box, Field, Picture, WornMask, render, throw_shadow, wide
from workers.masks.shadow import skin_outline
from workers.masks.spec import MaskSpec


@dataclass(frozen=True, slots=True)
class PaintedMask:
    """A mask that was painted.

    Attributes:
        changed: x1, y1, x2, y2 outside which nothing changed.
        window: of the mask without its shadow.
        cover: (h, w) uint8 how far it covers the window, 0..255.
        pose: how the head is turned.
    """

    changed: Box
    window: Box
    cover: GrayImage
    pose: Pose

    def box_xyxy(self) -> Box | None:
        """Return the box of what is covered at least by half, maxima exclusive; None where nothing is."""
        rows, columns = (np.flatnonzero((self.cover >= 128).any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        x, y = self.window[:2]
        return x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1

    def polygon(self) -> list[list[int]] | None:
        """Return the outline of the largest covered part, [x, y] in pixels, to within a pixel or two."""
        shape = (self.cover >= 128).astype(np.uint8)
        outlines, _ = cv2.findContours(
            shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=self.window[:2]
        )
        if not outlines:
            return None
        largest = max(outlines, key=cv2.contourArea)
        coarse = cv2.approxPolyDP(largest, max(1.0, 0.01 * max(shape.shape)), True)
        points: list[list[int]] = coarse.reshape(-1, 2).astype(int).tolist()
        return points


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
) -> Box:
    """Draw a mask into an image in place, and return the x1, y1, x2, y2 outside which nothing changed.

    Args:
        canvas_bgr: (H, W, 3) uint8; changed where the mask covers it, and darkened where its shadow falls.
        alpha: (H, W) uint8; the mask's cover is added to what is there.
        landmarks, mask_spec, rng, limit_xyxy: as in `draw`.
        light_from: the image before any mask was painted, from which light, sharpness and noise are read;
            default the canvas.

    Raises:
        UndrawableFace: before any pixel is touched.
    """
    return paint_mask(
        canvas_bgr, alpha, landmarks, mask_spec, rng, limit_xyxy=limit_xyxy, light_from=light_from
    ).changed


def paint_mask(
    canvas_bgr: ImageBgr,
    alpha: GrayImage,
    landmarks: FloatArray,
    mask_spec: MaskSpec,
    rng: np.random.Generator,
    *,
    limit_xyxy: tuple[float, float, float, float] | None = None,
    light_from: ImageBgr | None = None,
) -> PaintedMask:
    """Draw a mask into an image in place, and return what was painted; everything as in `paint`."""
    _check_images(canvas_bgr, alpha)
    points = np.asarray(landmarks, dtype=np.float64)
    frame = judge_landmarks(points)
    pose = read_pose(points, frame.yaw)
    mesh = lay_mesh(points, frame, pose, mask_spec)
    limit = _whole_pixels(limit_xyxy or default_limit(points), canvas_bgr.shape[1], canvas_bgr.shape[0])
    judge_mesh(mesh, frame, limit)
    source = canvas_bgr if light_from is None else light_from
    worn = WornMask(
        spec=mask_spec,
        frame=frame,
        mesh=mesh,
        bands=lay_loops(source, points, frame, mesh, mask_spec),
        light=read_light(source, points, frame, pose),
        optics=read_optics(source, frame),
        skin=skin_outline(points, frame),
    )
    window = _window(worn, limit)
    around = _grown(window, worn.shadow_px, limit)
    picture = render(worn, window, rng)
    _darken(_part(canvas_bgr, around), throw_shadow(worn, picture.fabric, window, around))
    level = _blend(_part(canvas_bgr, window), _part(alpha, window), picture)
    return PaintedMask(around, window, level, pose)


def _darken(skin: ImageBgr, shadow: Field) -> None:
    """Take a part of its light from a part of the image, in place."""
    skin[...] = cv2.multiply(skin, wide(1 - shadow), dtype=cv2.CV_8U)


def _blend(skin: ImageBgr, under: GrayImage, picture: Picture) -> GrayImage:
    """Lay a mask over a part of the image and its cover over that of other masks; return that cover."""
    level: Field = np.rint(picture.cover * np.float32(255))
    share: Field = level / np.float32(255)
    mixed = picture.color * wide(share)
    mixed += skin * wide(1 - share)
    # Rounds, and stops at 0 and 255.
    skin[...] = cv2.convertScaleAbs(np.maximum(mixed, 0, out=mixed))
    cover: GrayImage = level.astype(np.uint8)
    np.maximum(under, cover, out=under)
    return cover


def _part(image: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.uint8]:
    """Return the view of an image's pixels in a box."""
    x1, y1, x2, y2 = box
    return image[y1:y2, x1:x2]


def _grown(box: Box, by: int, limit: Box) -> Box:
    """Return a box grown on all sides, within a limit."""
    x1, y1, x2, y2 = box
    return max(x1 - by, limit[0]), max(y1 - by, limit[1]), min(x2 + by, limit[2]), min(y2 + by, limit[3])


def default_limit(landmarks: FloatArray) -> tuple[float, float, float, float]:
    """Return x1, y1, x2, y2 around a face: its points and forehead, grown by half of that on each side.

    Args:
        landmarks: (68, 2) x, y in pixels, iBUG order.
    """
    frame = read_frame(landmarks)
    # From brows to hairline a face is about 0.9 of the distance between the eyes.
    forehead = landmarks[17:27] - 0.9 * frame.unit * frame.down
    points = np.concatenate([landmarks, forehead])
    low, high = points.min(axis=0), points.max(axis=0)
    grow = (high - low) / 2
    (x1, y1), (x2, y2) = (low - grow).tolist(), (high + grow).tolist()
    return x1, y1, x2, y2


def _window(worn: WornMask, limit: Box) -> Box:
    """Return the part of `limit` that mask and loops can touch."""
    points = np.concatenate([worn.mesh.points.reshape(-1, 2), *(band.points for band in worn.bands)])
    low = np.floor(points.min(axis=0)).astype(int) - worn.margin_px
    high = np.ceil(points.max(axis=0)).astype(int) + worn.margin_px + 1
    (x1, y1), (x2, y2) = low.tolist(), high.tolist()
    return max(x1, limit[0]), max(y1, limit[1]), min(x2, limit[2]), min(y2, limit[3])


def _whole_pixels(limit_xyxy: tuple[float, float, float, float], width: int, height: int) -> Box:
    """Return the pixels that lie wholly in a box and in the image; maxima exclusive."""
    x1, y1, x2, y2 = limit_xyxy
    return (
        max(0, math.ceil(x1)),
        max(0, math.ceil(y1)),
        min(width, math.floor(x2)),
        min(height, math.floor(y2)),
    )


def _check_images(canvas_bgr: ImageBgr, alpha: GrayImage) -> None:
    """Raise ValueError unless canvas and alpha are a pair."""
    if canvas_bgr.ndim != 3 or canvas_bgr.shape[2] != 3 or canvas_bgr.dtype != np.uint8:
        raise ValueError(f"image must be (H, W, 3) uint8, got {canvas_bgr.shape} {canvas_bgr.dtype}")
    if alpha.shape != canvas_bgr.shape[:2] or alpha.dtype != np.uint8:
        raise ValueError(f"alpha must be {canvas_bgr.shape[:2]} uint8, got {alpha.shape} {alpha.dtype}")
