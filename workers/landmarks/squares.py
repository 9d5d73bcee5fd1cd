"""The square in which a shape predictor starts: where the face is, how large, how tilted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from common.arrays import FloatArray


@dataclass(frozen=True)
class Square:
    """A square in the image.

    Attributes:
        centre_xy: (2,), pixels.
        side: pixels.
        roll: the face's tilt, radians, clockwise in the image.
    """

    centre_xy: FloatArray
    side: float
    roll: float


def square_from_points(points5: FloatArray, model5: FloatArray) -> Square | None:
    """Return the square in which a model's five points lie best on a face's five points.

    Centre and size alone, after levelling: the model is the predictor's own mean face, so nothing is fitted
    to any photograph, and a turned face moves the square as its points move.

    Args:
        points5: (5, 2), pixels.
        model5: (5, 2), the mean face's points in a square of side 1.

    Returns:
        None where the points are all in one place.
    """
    roll = _roll(points5)
    turn = rotation(roll)
    left, top, side = fit_square(points5 @ turn, model5)
    if side < 1:
        return None
    return Square(turn @ np.array([left + side / 2, top + side / 2]), side, roll)


def square_from_box(box_xyxy: FloatArray) -> Square:
    """Return the square of a face of which only the box is known.

    Size and height are spec/pipeline.md's for CenterFace's boxes (RFB's want nearly the same); its 0.48 of
    the width is 0.5 here, as a mirrored face must not fare otherwise.
    """
    width, height = box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1]
    centre = np.array([box_xyxy[0] + 0.5 * width, box_xyxy[1] + 0.534 * height], dtype=np.float64)
    return Square(centre, max(1.0, 0.968 * float(np.sqrt(width * height))), 0.0)


def fit_square(points: FloatArray, model: FloatArray) -> tuple[float, float, float]:
    """Return left, top and side of the square in which a model lies on some points as well as it can.

    Args:
        points: (K, 2), pixels.
        model: (K, 2), the same points in a square of side 1.
    """
    (x, y, spread), (model_x, model_y, model_spread) = _centre_and_spread(points), _centre_and_spread(model)
    # The ratio of the spreads, not the least-squares scale: that one shrinks when the shapes differ.
    side = math.sqrt(spread / model_spread)
    return x - side * model_x, y - side * model_y, side


def rotation(angle: float) -> FloatArray:
    """Return the (2, 2) matrix that turns by an angle in radians, clockwise as y points down."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]], dtype=np.float64)


def _roll(points5: FloatArray) -> float:
    """Return the tilt of a face, radians: the sum of its cross lines and of its length turned by 90°.

    Steadier than the line through the eyes, which is short and steep when the face is turned aside.
    """
    # Plain numbers: arrays of two are thirty times as slow.
    (lx, ly), (rx, ry), _, (mlx, mly), (mrx, mry) = points5.tolist()
    down_x, down_y = (mlx + mrx - lx - rx) / 2, (mly + mry - ly - ry) / 2
    return math.atan2((ry - ly) + (mry - mly) - down_x, (rx - lx) + (mrx - mlx) + down_y)


def _centre_and_spread(points: FloatArray) -> tuple[float, float, float]:
    """Return the mean (x, y) of (K, 2) points and the sum of their squared distances from it."""
    x, y = (points.sum(axis=0) / len(points)).tolist()
    away = points - (x, y)
    return x, y, float(np.vdot(away, away))
