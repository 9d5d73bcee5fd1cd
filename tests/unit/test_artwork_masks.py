"""What a variant's rows say of faces that were drawn on and of those left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from common.options import make_options
from tests.unit.test_masks_mesh import skin_image, turned_face
from workers.artwork import FacePoints, draw_variant
from workers.masks.draw import FaceReading

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
