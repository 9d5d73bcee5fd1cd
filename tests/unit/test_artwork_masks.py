"""What a variant's rows say of faces that were drawn on and of those left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from common.arrays import ImageBgr
from common.options import JobOptions, make_options
from tests.unit.test_masks_mesh import skin_image, turned_face
from workers.artwork import Drawn, draw_variant
from workers.facepoints import FacePoints
from workers.outfits import BarePicture, fit_outfits

POINTS = turned_face(50, (150, 120), 20)
FACE = FacePoints(1, 0, (0.0, 0.0, 300.0, 300.0), POINTS, np.zeros((5, 2)), None)
IMAGE = skin_image(POINTS, (300, 300), (130, 150, 205))


def drawn(options: JobOptions, image: ImageBgr, faces: list[FacePoints], variant: int) -> Drawn:
    (outfits,) = fit_outfits(options, [BarePicture(b"a.jpg", image, faces, (variant,))])
    return draw_variant(image, faces, variant, outfits[variant])


def equal(one: Drawn, other: Drawn) -> bool:
    return bool(
        (one.canvas == other.canvas).all() and (one.alpha == other.alpha).all() and one.rows == other.rows
    )


def test_a_drawn_face_has_its_way_its_turn_and_its_place_in_the_row() -> None:
    options = make_options({"wears": ("nose-out",)})
    one = drawn(options, IMAGE, [FACE], 0)
    (row,) = one.rows
    y, x = np.nonzero(one.alpha >= 128)
    assert (row.wear, row.reason) == ("nose-out", None)
    assert row.yaw is not None and abs(row.yaw - 20) < 8
    assert (row.x1, row.y1, row.x2, row.y2) == (x.min(), y.min(), x.max() + 1, y.max() + 1)
    assert row.polygon is not None and len(row.polygon) > 4
    assert row.texture is not None and len(row.texture) == 32


def test_a_face_that_is_masked_already_is_left_alone_with_its_reason() -> None:
    masked = replace(FACE, is_masked=True)
    one = drawn(make_options({}), IMAGE, [masked], 0)
    (row,) = one.rows
    assert row.reason == "already-masked"
    assert row.polygon is None and row.yaw is None
    assert not one.alpha.any()
    assert (one.canvas == IMAGE).all()


def test_mixed_wear_draws_every_way_in_some_variant() -> None:
    options = make_options({"wears": ("mixed",)})
    ways = {drawn(options, IMAGE, [FACE], variant).rows[0].wear for variant in range(24)}
    assert ways == {"correct", "nose-out", "mouth-out", "hanging"}


def test_variants_that_are_fitted_together_are_those_fitted_one_by_one() -> None:
    """The face is read for the first one only."""
    options = make_options({"wears": ("mixed",)})
    (outfits,) = fit_outfits(options, [BarePicture(b"a.jpg", IMAGE, [FACE], range(6))])
    assert list(outfits) == list(range(6))
    for variant, own in outfits.items():
        assert equal(draw_variant(IMAGE, [FACE], variant, own), drawn(options, IMAGE, [FACE], variant))


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
            together = drawn(options, image, faces, variant)
            rows = together.rows
            alone = [drawn(options, image, [face], variant) for face in faces]
            assert rows == [own.rows[0] for own in alone]
            assert [row.reason for row in rows[:4]] == [None] * 4 and rows[4].reason == "too-small"
            assert (together.alpha == np.max([own.alpha for own in alone], axis=0)).all()
            changed = [(own.canvas != image).any(axis=2) for own in alone]
            assert np.sum(changed, axis=0).max() == 1
            for own, where in zip(alone, changed, strict=True):
                assert (together.canvas[where] == own.canvas[where]).all()
            backwards = drawn(options, image, faces[::-1], variant)
            assert (backwards.canvas == together.canvas).all() and backwards.rows == rows[::-1]


def test_pictures_that_are_fitted_together_are_those_fitted_one_by_one() -> None:
    points = turned_face(23, (80, 60), -10)
    five = np.stack([points[36:42].mean(0), points[42:48].mean(0), *points[[30, 48, 54]]])
    small = FacePoints(2, 1, (0.0, 0.0, 160.0, 140.0), points, np.zeros((5, 2)), five)
    other = skin_image(points, (160, 140), (90, 120, 190))
    tiny = replace(small, face_index=2, points68=turned_face(2, (30, 30)), detector_points5=None)
    pictures = [
        (IMAGE, [FACE], (0, 2)),
        (other, [small, tiny, replace(small, face_index=3, is_masked=True)], (1, 2)),
        (other, [], (0,)),
        (IMAGE, [FACE], ()),
    ]
    for options in (make_options({}), make_options({"mask_per_face": True, "wears": ("mixed",)})):
        fitted = fit_outfits(options, [BarePicture(b"a.jpg", *picture) for picture in pictures])
        assert [tuple(own) for own in fitted] == [variants for *_, variants in pictures]
        for (image, faces, _), outfits in zip(pictures, fitted, strict=True):
            for variant, own in outfits.items():
                together = draw_variant(image, faces, variant, own)
                assert equal(together, drawn(options, image, faces, variant))
        assert [row.reason for row in draw_variant(other, pictures[1][1], 1, fitted[1][1]).rows] == [
            None,
            "too-small",
            "already-masked",
        ]
