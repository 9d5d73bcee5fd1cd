"""Turned pictures: for faces that a detector or landmark model does not know upside down or on their side.

An angle is in degrees clockwise, as the picture is turned. Points and boxes are in pixels whose whole numbers
lie on pixel borders (a box of the whole picture is 0, 0, width, height).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from common.arrays import FloatArray, ImageBgr
from workers.crops import ARCFACE_TEMPLATE_XY
from workers.detectors.base import Detection, Detector, rounded
from workers.detectors.boxes import clip_boxes, touching_image
from workers.geometry import Matrix, fit_similarity, transform_points

MAX_SIDE = 4096
"""Pictures are reduced to this longer side before they are turned: no detector sees more (`detect_side`)."""

# What CenterFace finds in the photographs: upright its five points miss those of ArcFace's template by 2.5 units
# (median; 95 in 100 less than 4.4), tilted by 20° at most. Of pictures on their heads it still finds two faces in
# five, with points 12 units off or tilted by more than 100°; of pictures on their sides half, tilted by 68° or more.
MAX_TILT = 45.0
MAX_MISFIT = 5.0
"""Root mean square, in pixels of ArcFace's template of side 112."""

_QUARTERS = {
    90.0: cv2.ROTATE_90_CLOCKWISE,
    180.0: cv2.ROTATE_180,
    270.0: cv2.ROTATE_90_COUNTERCLOCKWISE,
}


@dataclass(frozen=True)
class Turned:
    """A turned picture; black where the upright one has no pixels.

    Attributes:
        image_bgr: (H, W, 3) uint8; it holds the whole picture.
        matrix: (2, 3), from the upright picture to the turned one.
    """

    image_bgr: ImageBgr
    matrix: Matrix

    def points_back(self, points: FloatArray) -> FloatArray:
        """Return (..., 2) points of the turned picture in the upright one."""
        linear = np.linalg.inv(self.matrix[:, :2])
        moved: FloatArray = (points - self.matrix[:, 2]) @ linear.T
        return moved


def turn(image_bgr: ImageBgr, angle: float) -> Turned:
    """Turn a picture clockwise; quarters are exact, other angles bilinear."""
    height, width = image_bgr.shape[:2]
    ratio = min(1.0, MAX_SIDE / max(height, width))
    if ratio < 1:
        size_wh = max(1, round(width * ratio)), max(1, round(height * ratio))
        image_bgr = np.asarray(cv2.resize(image_bgr, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    reduced_h, reduced_w = image_bgr.shape[:2]
    radians = math.radians(angle)
    cosine, sine = math.cos(radians), math.sin(radians)
    # Clockwise as y points down. Rounded, so that a quarter turn does not grow by a pixel of 1e-13.
    linear = np.round(np.array([[cosine, -sine], [sine, cosine]]), 12)
    corners = np.array([[0, 0], [reduced_w, 0], [0, reduced_h], [reduced_w, reduced_h]]) @ linear.T
    low = corners.min(axis=0)
    turned_w, turned_h = (math.ceil(value) for value in np.round(corners.max(axis=0) - low, 6))
    matrix = np.column_stack([linear, -low])
    if angle in _QUARTERS:
        turned = cv2.rotate(image_bgr, _QUARTERS[angle])
    else:
        # OpenCV's whole numbers are the middles of pixels.
        shift = matrix[:, 2] + linear @ np.full(2, 0.5) - 0.5
        turned = cv2.warpAffine(image_bgr, np.column_stack([linear, shift]), (turned_w, turned_h))
    factors = np.array([reduced_w / width, reduced_h / height])
    return Turned(np.asarray(turned, dtype=np.uint8), np.column_stack([linear * factors, matrix[:, 2]]))


def detect_turning(
    detector: Detector, images_bgr: Sequence[ImageBgr], angles: Sequence[float]
) -> list[Detection]:
    """Return the faces of each image; where none is found upright, those of the first angle that has some.

    Args:
        angles: tried in this order, each on all images in which nothing was found so far.

    Returns:
        Boxes and points of the upright picture. The box of a turned face holds the turned box. A face that
        lies wholly outside the upright picture does not count. Where no angle helps, what was found upright.
    """
    found = detector.detect(images_bgr)
    waiting = [index for index, one in enumerate(found) if angles and not has_upright_face(one)]
    for angle in angles:
        if not waiting:
            break
        turned = [turn(images_bgr[index], angle) for index in waiting]
        answers = detector.detect([one.image_bgr for one in turned])
        for index, one, answer in zip(waiting, turned, answers, strict=True):
            height, width = images_bgr[index].shape[:2]
            upright = _upright(answer, one, (width, height), angle)
            if len(upright) and has_upright_face(answer):
                found[index] = upright
                waiting = [other for other in waiting if other != index]
    return found


def has_upright_face(detection: Detection) -> bool:
    """Return whether a face stands upright as it was found: its five points lie as in a face, level enough.

    A detector may find faces that lie or stand on their heads, with points that are of no use. Of one without
    points every face counts.
    """
    if detection.points5 is None:
        return len(detection) > 0
    return any(_is_upright(points) for points in detection.points5)


def _is_upright(points5: FloatArray) -> bool:
    if not np.isfinite(points5).all() or np.ptp(points5, axis=0).max() == 0:
        return False
    matrix = fit_similarity(ARCFACE_TEMPLATE_XY, points5)
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    tilt = abs(math.degrees(math.atan2(matrix[1, 0], matrix[0, 0])))
    apart = np.sqrt(((transform_points(matrix, ARCFACE_TEMPLATE_XY) - points5) ** 2).sum(axis=1).mean())
    return tilt <= MAX_TILT and float(apart) <= MAX_MISFIT * scale


def _upright(detection: Detection, turned: Turned, size_wh: tuple[int, int], angle: float) -> Detection:
    boxes = boxes_around(turned.points_back(_corners(detection.boxes_xyxy)))
    inside = touching_image(boxes, size_wh)
    points = None if detection.points5 is None else turned.points_back(detection.points5[inside])
    upright = rounded(clip_boxes(boxes[inside], size_wh), detection.scores[inside], points)
    return replace(upright, angles=np.full(len(upright), angle))


def _corners(boxes_xyxy: FloatArray) -> FloatArray:
    """Return (N, 4, 2), the corners of (N, 4) boxes."""
    return boxes_xyxy[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]


def boxes_around(points: FloatArray) -> FloatArray:
    """Return (N, 4), the smallest boxes around (N, K, 2) points."""
    if not len(points):
        return np.zeros((0, 4))
    return np.concatenate([points.min(axis=1), points.max(axis=1)], axis=1)


@dataclass(frozen=True)
class LevelFace:
    """A face cut out of its picture and turned as it was found.

    Attributes:
        image_bgr: the surroundings of the face.
        box_xyxy: (4,), pixels of it; the size is that of the face, not that of the box around a turned box.
        points5: (5, 2), or None.
    """

    image_bgr: ImageBgr
    box_xyxy: FloatArray
    points5: FloatArray | None
    _turned: Turned
    _corner: FloatArray

    def to_image(self, points: FloatArray) -> FloatArray:
        """Return (..., 2) landmarks in the upright picture; their whole numbers are the middles of pixels."""
        moved: FloatArray = self._turned.points_back(points + 0.5) + self._corner - 0.5
        return moved


def level_face(
    image_bgr: ImageBgr,
    box_xyxy: tuple[float, float, float, float],
    points5: FloatArray | None,
    angle: float,
) -> LevelFace:
    """Cut one face out with its surroundings and turn it, for a landmark model that knows upright faces."""
    x1, y1, x2, y2 = box_xyxy
    height, width = image_bgr.shape[:2]
    grow = max(x2 - x1, y2 - y1)
    left, top = max(0, math.floor(x1 - grow)), max(0, math.floor(y1 - grow))
    right, bottom = min(width, math.ceil(x2 + grow)), min(height, math.ceil(y2 + grow))
    turned = turn(np.ascontiguousarray(image_bgr[top:bottom, left:right]), angle)
    corner = np.array([left, top], dtype=np.float64)

    def move(points: FloatArray) -> FloatArray:
        return transform_points(turned.matrix, points - corner)

    around = boxes_around(move(_corners(np.array([box_xyxy], dtype=np.float64))[0])[None])[0]
    centre, sides = (around[:2] + around[2:]) / 2, around[2:] - around[:2]
    # The box was grown around a turned box, and is grown again by this turn: a square of side 1 turned twice
    # by an angle has (|cos| + |sin|)² on each side.
    radians = math.radians(angle)
    sides = sides / (abs(math.cos(radians)) + abs(math.sin(radians))) ** 2
    box = np.concatenate([centre - sides / 2, centre + sides / 2])
    return LevelFace(turned.image_bgr, box, None if points5 is None else move(points5), turned, corner)
