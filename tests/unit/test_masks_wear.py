"""Masks that are worn wrongly, and what is told about where they are seen."""

from __future__ import annotations

import numpy as np
import pytest

from common.arrays import GrayImage
from common.errors import UsageError
from common.kinds import KINDS, WEARS, parse_wears
from common.options import extend, make_options
from tests.unit.test_masks_mesh import skin_image, turned_face
from workers.masks.choose import choose, texture_seed
from workers.masks.draw import draw, paint_mask
from workers.masks.fitting import Wearer, WornMask, fit_masks
from workers.masks.spec import MaskSpec

SKIN = (130, 150, 205)
NOSE, LIPS, CHIN, EYES = [30], [51, 57, 62, 66], [8], list(range(36, 48))


def _alpha(wear: str, yaw_deg: float = 0.0, roll_deg: float = 0.0, kind: int = 0) -> GrayImage:
    face = turned_face(50, (200, 160), yaw_deg, roll_deg=roll_deg)
    chosen = KINDS[kind]
    spec = MaskSpec(chosen.name, chosen.mask_type, chosen.color, chosen.pattern, wear=wear)
    _, alpha = draw(skin_image(face, (400, 400), SKIN), face, spec, np.random.default_rng(0))
    return alpha


def _at(alpha: GrayImage, landmarks: list[int], yaw_deg: float = 0.0, roll_deg: float = 0.0) -> GrayImage:
    x, y = np.round(turned_face(50, (200, 160), yaw_deg, roll_deg=roll_deg)[landmarks]).astype(int).T
    return alpha[y, x]


@pytest.mark.parametrize("kind", [0, 5, 8, 10])
@pytest.mark.parametrize(("yaw_deg", "roll_deg"), [(0, 0), (-45, 0), (45, 0), (10, 90), (0, 180)])
@pytest.mark.parametrize(
    ("wear", "covered", "free"),
    [
        ("correct", NOSE + LIPS + CHIN, EYES),
        ("nose-out", LIPS + CHIN, NOSE + EYES),
        ("mouth-out", CHIN, LIPS + NOSE + EYES),
        ("hanging", [], NOSE + LIPS + CHIN + EYES),
    ],
)
def test_each_way_covers_what_it_says(
    wear: str, covered: list[int], free: list[int], yaw_deg: int, roll_deg: int, kind: int
) -> None:
    alpha = _alpha(wear, yaw_deg, roll_deg, kind)
    assert (alpha > 200).sum() > 1500
    assert (_at(alpha, covered, yaw_deg, roll_deg) >= 200).all()
    assert (_at(alpha, free, yaw_deg, roll_deg) < 100).all()


def test_a_mask_hangs_from_the_ear_that_is_seen() -> None:
    for yaw_deg, left_of_the_middle in ((30, True), (-30, False)):
        columns = np.nonzero(_alpha("hanging", yaw_deg) > 200)[1]
        assert (columns.mean() < 200) == left_of_the_middle


def test_the_far_side_of_a_turned_head_is_hidden_and_the_near_one_reaches_towards_the_ear() -> None:
    face = turned_face(50, (200, 160), 60)
    columns = np.nonzero(_alpha("correct", 60) > 128)[1]
    # Nothing hangs in the air before the face; loop and fabric go towards the near ear, landmark 0.
    assert columns.max() < face[:, 0].max() + 12
    assert columns.min() < face[0, 0] + 25


def test_box_and_polygon_lie_around_the_mask() -> None:
    face = turned_face(50, (200, 160))
    image = skin_image(face, (400, 400), SKIN)
    alpha = np.zeros((400, 400), np.uint8)
    kind = KINDS[0]
    spec = MaskSpec(kind.name, kind.mask_type, kind.color, kind.pattern)
    (worn,) = fit_masks([Wearer(image, face, spec)])
    assert isinstance(worn, WornMask)
    painted = paint_mask(image, alpha, worn, np.random.default_rng(0))
    y, x = np.nonzero(alpha >= 128)
    box, outline = painted.seen()
    assert box == (x.min(), y.min(), x.max() + 1, y.max() + 1)
    polygon = np.array(outline)
    assert len(polygon) >= 6
    assert polygon.min(axis=0).tolist() >= [x.min() - 1, y.min() - 1]
    assert painted.pose.yaw_deg == pytest.approx(0, abs=1)


@pytest.mark.parametrize(
    ("words", "wears"),
    [
        ([], ("correct",)),
        (["Nose_Out"], ("nose-out",)),
        (["hanging", "correct", "hanging"], ("correct", "hanging")),
        (["mixed"], WEARS),
    ],
)
def test_the_words_of_wearing(words: list[str], wears: tuple[str, ...]) -> None:
    assert parse_wears(words) == wears


def test_an_unknown_way_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"--wear .* 'upside-down'"):
        parse_wears(["correct", "upside-down"])


def test_the_way_is_drawn_evenly_and_changes_nothing_else() -> None:
    specs = [choose(0, b"%d" % path, 0, None, (), (), WEARS)[0] for path in range(800)]
    counts = [sum(spec.wear == wear for spec in specs) for wear in WEARS]
    # 200 each with a spread of 12.
    assert all(140 < count < 260 for count in counts)
    plain = [choose(0, b"%d" % path, 0, None, (), ())[0] for path in range(20)]
    assert [(spec.kind, spec.y_offset) for spec in specs[:20]] == [
        (spec.kind, spec.y_offset) for spec in plain
    ]


def test_the_texture_seed_makes_the_generator_of_the_texture() -> None:
    _, rng = choose(3, b"a.jpg", 2, 1, (), ())
    again = np.random.Generator(np.random.PCG64(int(texture_seed(3, b"a.jpg", 2, 1), 16)))
    assert rng.bytes(32) == again.bytes(32)


def test_another_way_of_wearing_is_refused_on_an_output_that_is_there() -> None:
    with pytest.raises(UsageError, match=r"^--wear: .*made with correct, asked is nose-out"):
        extend(make_options({}), make_options({"wears": ("nose-out",)}))
    every = make_options({"wears": ("mixed",)})
    assert extend(every, make_options({"wears": WEARS})).wears == WEARS
    # Jobs of earlier versions know nothing of wearing: they wore masks correctly.
    assert make_options({"seed": 3}).wears == ("correct",)
