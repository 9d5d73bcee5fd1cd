"""The square in which a shape predictor starts: where the face is, how large, how tilted."""

from __future__ import annotations

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
    level = rotation(-roll)
    left, top, side = fit_square(points5 @ level.T, model5)
    if side < 1:
        return None
    return Square(rotation(roll) @ np.array([left + side / 2, top + side / 2]), side, roll)


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
    centre, model_centre = points.mean(axis=0), model.mean(axis=0)
    # The ratio of the spreads, not the least-squares scale: that one shrinks when the shapes differ.
    side = float(np.sqrt(np.sum((points - centre) ** 2) / np.sum((model - model_centre) ** 2)))
    left, top = centre - side * model_centre
    return float(left), float(top), side


def rotation(angle: float) -> FloatArray:
    """Return the (2, 2) matrix that turns by an angle in radians, clockwise as y points down."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]], dtype=np.float64)


def _roll(points5: FloatArray) -> float:
    """Return the tilt of a face, radians: the sum of its cross lines and of its length turned by 90°.

    Steadier than the line through the eyes, which is short and steep when the face is turned aside.
    """
    eye_left, eye_right, _, mouth_left, mouth_right = points5
    across = (eye_right - eye_left) + (mouth_right - mouth_left)
    down = (mouth_left + mouth_right) / 2 - (eye_left + eye_right) / 2
    x, y = across + np.array([down[1], -down[0]])
    return float(np.arctan2(y, x))
