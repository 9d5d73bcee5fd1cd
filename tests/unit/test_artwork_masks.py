"""What a variant's rows say of faces that were drawn on and of those left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from common.options import make_options
from tests.unit.test_masks_mesh import skin_image, turned_face
from workers.artwork import FacePoints, draw_variant, read_pictures
from workers.masks.reading import FaceReading

POINTS = turned_face(50, (150, 120), 20)
FACE = FacePoints(1, 0, (0.0, 0.0, 300.0, 300.0), POINTS, np.zeros((5, 2)), None)
IMAGE = skin_image(POINTS, (300, 300), (130, 150, 205))


def test_a_drawn_face_has_its_way_its_turn_and_its_place_in_the_row() -> None:
    options = make_options({"wears": ("nose-out",)})
    _, alpha, (row,) = draw_variant(options, b"a.jpg", IMAGE, [FACE], 0)
    y, x = np.nonzero(alpha >= 128)
    assert (row.wear, row.reason) == ("nose-out", None)
    assert row.yaw is not None and abs(row.yaw - 20) < 8
    assert (row.x1, row.y1, row.x2, row.y2) == (x.min(), y.min(), x.max() + 1, y.max() + 1)
    assert row.polygon is not None and len(row.polygon) > 4
    assert row.texture is not None and len(row.texture) == 32


def test_a_face_that_is_masked_already_is_left_alone_with_its_reason() -> None:
    masked = replace(FACE, is_masked=True)
    canvas, alpha, (row,) = draw_variant(make_options({}), b"a.jpg", IMAGE, [masked], 0)
    assert row.reason == "already-masked"
    assert row.polygon is None and row.yaw is None
    assert not alpha.any()
    assert (canvas == IMAGE).all()


def test_mixed_wear_draws_every_way_in_some_variant() -> None:
    options = make_options({"wears": ("mixed",)})
    ways = {draw_variant(options, b"a.jpg", IMAGE, [FACE], variant)[2][0].wear for variant in range(24)}
    assert ways == {"correct", "nose-out", "mouth-out", "hanging"}


def test_what_was_read_for_one_variant_serves_the_next_one_as_if_it_were_read_anew() -> None:
    options = make_options({"wears": ("mixed",)})
    readings: dict[int, FaceReading] = {}
    for variant in range(6):
        canvas, alpha, rows = draw_variant(options, b"a.jpg", IMAGE, [FACE], variant, None, readings)
        alone = draw_variant(options, b"a.jpg", IMAGE, [FACE], variant)
        assert (canvas == alone[0]).all() and (alpha == alone[1]).all() and rows == alone[2]
    assert list(readings) == [FACE.face_index]


def test_what_is_drawn_on_a_face_does_not_depend_on_the_faces_beside_it() -> None:
    """They are fitted all in one go: not a bit may pass from one to the other."""
    places = [
        (26, (70, 70), 0),
        (9, (190, 60), 30),
        (44, (90, 210), -25),
        (13, (220, 200), 60),
        (3, (20, 20), 0),
    ]
    faces = []
    image = np.full((300, 300, 3), 90, np.uint8)
    for number, (unit, centre, yaw_deg) in enumerate(places):
        points = turned_face(unit, centre, yaw_deg, roll_deg=7 * number)
        low, high = points.min(axis=0), points.max(axis=0)
        x1, y1, x2, y2 = (*(low - (high - low) / 3), *(high + (high - low) / 3))
        skin = skin_image(points, (300, 300), (130 - 9 * number, 150, 205 - 12 * number))
        inside = np.s_[max(0, int(y1)) : int(y2), max(0, int(x1)) : int(x2)]
        image[inside] = skin[inside]
        faces.append(FacePoints(number, number, (x1, y1, x2, y2), points, np.zeros((5, 2)), None))
    image += np.random.default_rng(3).integers(0, 12, image.shape, dtype=np.uint8)
    for options in (
        make_options({"mask_per_face": True, "wears": ("mixed",)}),
        make_options({"mask_per_face": True}),
    ):
        for variant in range(4):
            canvas, alpha, rows = draw_variant(options, b"a.jpg", image, faces, variant)
            alone = [draw_variant(options, b"a.jpg", image, [face], variant) for face in faces]
            assert rows == [row for _, _, (row,) in alone]
            assert [row.reason for row in rows[:4]] == [None] * 4 and rows[4].reason == "too-small"
            assert (alpha == np.max([own for _, own, _ in alone], axis=0)).all()
            changed = [(own != image).any(axis=2) for own, _, _ in alone]
            assert np.sum(changed, axis=0).max() == 1
            for (own, _, _), where in zip(alone, changed, strict=True):
                assert (canvas[where] == own[where]).all()
            backwards = draw_variant(options, b"a.jpg", image, faces[::-1], variant)
            assert (backwards[0] == canvas).all() and backwards[2] == rows[::-1]


def test_what_was_read_of_many_pictures_together_is_what_is_read_of_each() -> None:
    points = turned_face(23, (80, 60), -10)
    five = np.stack([points[36:42].mean(0), points[42:48].mean(0), *points[[30, 48, 54]]])
    small = FacePoints(2, 1, (0.0, 0.0, 160.0, 140.0), points, np.zeros((5, 2)), five)
    other = skin_image(points, (160, 140), (90, 120, 190))
    tiny = replace(small, face_index=2, points68=turned_face(2, (30, 30)))
    pictures = [
        (IMAGE, [FACE]),
        (other, [small, tiny, replace(small, face_index=3, is_masked=True)]),
        (other, []),
    ]
    readings = read_pictures(pictures)
    assert [list(own) for own in readings] == [[0], [1], []]
    for (image, faces), own in zip(pictures, readings, strict=True):
        ahead = draw_variant(make_options({}), b"a.jpg", image, faces, 0, None, own)
        alone = draw_variant(make_options({}), b"a.jpg", image, faces, 0)
        assert (ahead[0] == alone[0]).all() and (ahead[1] == alone[1]).all() and ahead[2] == alone[2]
