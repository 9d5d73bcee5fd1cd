"""Turned pictures: where boxes and points of a turned picture lie in the upright one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from common.arrays import ImageBgr
from workers.detectors.base import Detection
from workers.turning import MAX_SIDE, detect_turning, level_face, turn

BLUE, RED = (255, 0, 0), (0, 0, 255)


def picture(width: int, height: int, box: tuple[int, int, int, int], red: str = "bottom") -> ImageBgr:
    """A black picture with a blue box; one of its sides is red where the face's chin would be."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    x1, y1, x2, y2 = box
    image[y1:y2, x1:x2] = BLUE
    side = {"bottom": np.s_[y2 - 2 : y2, x1:x2], "top": np.s_[y1 : y1 + 2, x1:x2],
            "left": np.s_[y1:y2, x1 : x1 + 2], "right": np.s_[y1:y2, x2 - 2 : x2]}[red]  # fmt: skip
    image[side] = RED
    return image


class ChinDetector:
    """Finds the coloured box of pictures whose red side is at the bottom; counts the pictures it is given."""

    name = "chin"
    provider = "CPU"

    def __init__(self, points: bool = False) -> None:
        self.seen: list[int] = []
        self._points = points

    def detect(self, images_bgr: Sequence[ImageBgr]) -> list[Detection]:
        self.seen.append(len(images_bgr))
        return [self._one(image) for image in images_bgr]

    def _one(self, image: ImageBgr) -> Detection:
        rows, columns = np.nonzero(image.max(axis=2) > 127)
        red_rows, red_columns = np.nonzero(image[..., 2] > 127)
        none = Detection(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)) if self._points else None)
        if not len(rows) or red_rows.mean() < rows.mean() + 0.3 * np.ptp(rows):
            return none
        if abs(red_columns.mean() - columns.mean()) > 0.25 * np.ptp(columns):
            return none
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], dtype=np.float64)
        sides = box[0, 2:] - box[0, :2]
        fractions = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
        points = box[0, :2] + fractions * sides
        return Detection(box, np.array([0.9]), points[None] if self._points else None)


@pytest.mark.parametrize(("red", "angle"), [("bottom", 0), ("right", 90), ("top", 180), ("left", 270)])
def test_the_box_of_a_turned_face_is_that_of_the_upright_picture(red: str, angle: float) -> None:
    box = (30, 10, 70, 60)
    (found,) = detect_turning(ChinDetector(), [picture(200, 90, box, red)], (90, 180, 270))
    assert found.boxes_xyxy.tolist() == [list(box)]
    assert (0.0 if found.angles is None else found.angles.tolist()[0]) == angle


def test_only_pictures_without_a_face_are_turned_and_the_first_angle_wins() -> None:
    box = (40, 40, 60, 70)
    detector = ChinDetector()
    pictures = [picture(100, 100, box, side) for side in ("bottom", "right", "top", "left")]
    found = detect_turning(detector, pictures, (180.0, 90.0, 270.0, 179.0))
    assert [None if one.angles is None else one.angles.tolist() for one in found] == [
        None,
        [90],
        [180],
        [270],
    ]
    # All four upright; three by 180°, of which one is found; two by 90°, one by 270°; none by 179°.
    assert detector.seen == [4, 3, 2, 1]


def test_without_angles_nothing_is_turned() -> None:
    detector = ChinDetector()
    (found,) = detect_turning(detector, [picture(100, 100, (40, 40, 60, 70), "top")], ())
    assert (len(found), detector.seen) == (0, [1])


def test_a_slanted_face_has_the_box_around_it_and_its_points() -> None:
    # A square of 60 around (100, 100), turned by 45° against the clock: a rhomb with its chin down right.
    upright = picture(200, 200, (70, 70, 130, 130))
    slanted = turn(upright, 315.0)
    middle = np.array([slanted.image_bgr.shape[1], slanted.image_bgr.shape[0]]) / 2
    (found,) = detect_turning(ChinDetector(points=True), [slanted.image_bgr], (45.0,))
    assert found.angles is not None
    assert found.points5 is not None
    half = 30 * math.sqrt(2)
    assert found.boxes_xyxy[0] == pytest.approx([*(middle - half), *(middle + half)], abs=2.5)
    # The middle of the eyes is (0, −6) from the middle of the square; 45° against the clock that is up left.
    eyes = found.points5[0, :2].mean(axis=0) - middle
    assert eyes == pytest.approx([-6 / math.sqrt(2), -6 / math.sqrt(2)], abs=1)


def test_a_face_found_lying_down_does_not_count_as_upright() -> None:
    class Lying(ChinDetector):
        """Finds everything at once, with points that tell how the face lies."""

        def _one(self, image: ImageBgr) -> Detection:
            rows, columns = np.nonzero(image.max(axis=2) > 127)
            red = np.argwhere(image[..., 2] > 127).mean(axis=0)[::-1]
            centre = np.array([columns.mean(), rows.mean()])
            down = (red - centre) / np.linalg.norm(red - centre)
            across = np.array([down[1], -down[0]])
            places = [(-0.3, -0.3), (0.3, -0.3), (0, 0), (-0.25, 0.4), (0.25, 0.4)]
            points = np.array([centre + 50 * (a * across + b * down) for a, b in places])
            box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], dtype=np.float64)
            return Detection(box, np.array([0.9]), points[None])

    for red, angle in (("bottom", None), ("right", 90), ("top", 180)):
        (found,) = detect_turning(Lying(), [picture(120, 120, (40, 40, 80, 90), red)], (90.0, 180.0, 270.0))
        assert (None if found.angles is None else found.angles.tolist()) == (
            None if angle is None else [angle]
        )
        assert found.boxes_xyxy.tolist() == [[40, 40, 80, 90]]
    # Where no angle helps, what was found upright is kept.
    (found,) = detect_turning(Lying(), [picture(120, 120, (40, 40, 80, 90), "top")], (90.0,))
    assert (found.angles, len(found)) == (None, 1)


def test_very_large_pictures_are_reduced_before_they_are_turned() -> None:
    box = (9000, 40, 9800, 90)
    image = picture(10_000, 100, box, "top")
    turned = turn(image, 180.0)
    assert max(turned.image_bgr.shape) == MAX_SIDE
    assert turned.points_back(turned.image_bgr.shape[1::-1] * np.ones(2)) == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize("angle", [90.0, 180.0, 270.0, 30.0, 213.0])
def test_a_pixel_lies_where_the_matrix_says(angle: float) -> None:
    image = np.zeros((80, 120, 3), dtype=np.uint8)
    image[20:23, 90:93] = 255
    turned = turn(image, angle)
    weights = turned.image_bgr[..., 0].astype(np.float64)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    seen = np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum() + 0.5
    assert turned.points_back(seen) == pytest.approx([91.5, 21.5], abs=0.1)
    assert (weights[[0, -1]] == 0).all()


@pytest.mark.parametrize("angle", [90.0, 180.0, 40.0])
def test_a_level_face_stands_upright_and_its_points_come_back(angle: float) -> None:
    upright = picture(300, 260, (120, 100, 180, 180))
    lying = turn(upright, 360 - angle)  # to be turned by the angle to stand again
    corners = np.array([[120, 100], [180, 100], [180, 180], [120, 180]], dtype=np.float64)
    there = corners @ lying.matrix[:, :2].T + lying.matrix[:, 2]
    box = (*there.min(axis=0), *there.max(axis=0))
    face = level_face(lying.image_bgr, box, there[[0, 1, 2, 3, 0]], angle)  # type: ignore[arg-type]
    assert len(ChinDetector().detect([face.image_bgr])[0]) == 1
    assert (face.box_xyxy[:2] + face.box_xyxy[2:]) / 2 == pytest.approx(
        ChinDetector().detect([face.image_bgr])[0].boxes_xyxy.reshape(2, 2).mean(axis=0), abs=1
    )
    if angle != 40:
        assert face.box_xyxy[2:] - face.box_xyxy[:2] == pytest.approx([60, 80])
    assert face.points5 is not None
    # Landmarks count the middles of pixels as whole numbers, the detector's points their borders.
    assert face.to_image(face.points5 - 0.5) + 0.5 == pytest.approx(there[[0, 1, 2, 3, 0]], abs=1e-6)
