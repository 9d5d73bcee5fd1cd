"""Landmarks of faces as the detect stage found them: upright or turned, with five points or without."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from common.arrays import FloatArray
from common.ledger.claims import ClaimedFace
from common.weights import find
from workers.detectors.registry import open_detector
from workers.facepoints import find_points, find_points_of_all
from workers.landmarks.registry import open_landmarker
from workers.turning import boxes_around, turn


def numbered(index: int, box: FloatArray, points: FloatArray | None, angle: float = 0.0) -> ClaimedFace:
    x1, y1, x2, y2 = (float(value) for value in box)
    given = None if points is None else points.tolist()
    return ClaimedFace(100 + index, index, (x1, y1, x2, y2), given, angle=angle)


@pytest.mark.parametrize("angle", [0.0, 90.0, 180.0, 270.0, 30.0, 225.0])
@pytest.mark.parametrize("has_points", [True, False])
def test_a_turned_face_has_the_points_of_the_upright_one(
    astronaut: Image.Image, angle: float, has_points: bool
) -> None:
    image = np.ascontiguousarray(np.asarray(astronaut)[..., ::-1])
    landmarker = open_landmarker("dlib68", find("dlib68"), device="cpu", threads=1)
    (upright,) = open_detector("centerface", find("centerface"), device="cpu", threads=1).detect([image])
    box, points = upright.boxes_xyxy[0], upright.points5[0] if upright.points5 is not None else None
    (there,) = find_points(landmarker, image, [numbered(0, box, points if has_points else None)])
    lying = turn(image, (360 - angle) % 360)

    def move(xy: FloatArray) -> FloatArray:
        moved: FloatArray = xy @ lying.matrix[:, :2].T + lying.matrix[:, 2]
        return moved

    around = boxes_around(move(box[[[0, 1], [2, 1], [2, 3], [0, 3]]])[None])[0]
    turned_points = move(points) if has_points and points is not None else None
    (found,) = find_points(landmarker, lying.image_bgr, [numbered(0, around, turned_points, angle)])
    apart = np.hypot(*(found.points68 - (move(there.points68 + 0.5) - 0.5)).T)
    # Eyes are 29 pixels apart. Interpolation, and the box around a box, move the start a little.
    assert apart.mean() < 2.5
    assert found.detector_points5 is None or found.detector_points5 == pytest.approx(turned_points)


def test_faces_with_points_and_without_keep_their_order(astronaut: Image.Image) -> None:
    image = np.ascontiguousarray(np.asarray(astronaut)[..., ::-1])
    wide = np.concatenate([image, image, image], axis=1)
    landmarker = open_landmarker("dlib68", find("dlib68"), device="cpu", threads=1)
    (found,) = open_detector("centerface", find("centerface"), device="cpu", threads=1).detect([image])
    assert found.points5 is not None
    box, points = found.boxes_xyxy[0], found.points5[0]
    shift = np.array([256.0, 0, 256, 0])
    faces = [
        numbered(0, box, None),
        numbered(1, box + shift, points + shift[:2]),
        numbered(2, box + 2 * shift, None),
    ]
    together = find_points_of_all(landmarker, [(image, []), (wide, faces)])
    assert together[0] == []
    assert [(face.id, face.face_index) for face in together[1]] == [(100, 0), (101, 1), (102, 2)]
    assert [face.detector_points5 is None for face in together[1]] == [True, False, True]
    for k, face in enumerate(together[1]):
        assert abs(face.points68.mean(axis=0)[0] - (256 * k + box[[0, 2]].mean())) < 15
    assert together[1][1].crop_points5 == pytest.approx(points + shift[:2])
