"""Sheets out of the drawer and sewn ones, edges of a drawn mask, the loops beside it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.kinds import KINDS
from tests.unit.test_masks_light import read_alone
from tests.unit.test_masks_mesh import BLUE, lay_alone, skin_image, turned_face
from workers.masks.draw import draw
from workers.masks.fabrics import DRAWER_WIDTH, STEEPEST, Fabric, weave
from workers.masks.frame import read_frame
from workers.masks.loops import lay_loops
from workers.masks.spec import MaskSpec

SPECS = [MaskSpec(kind.name, kind.mask_type, kind.color, kind.pattern) for kind in KINDS]
SMALL, LARGE = (96, 60), (256, 160)


def _rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _bytes(fabric: Fabric) -> bytes:
    return b"".join(part.tobytes() for part in (fabric.albedo, fabric.slope_x, fabric.slope_y, fabric.gloss))


@pytest.mark.parametrize("size_wh", [(48, 30), SMALL, LARGE])
@pytest.mark.parametrize("spec", SPECS, ids=[spec.kind for spec in SPECS])
def test_every_sheet_is_whole_and_no_fold_is_too_steep(spec: MaskSpec, size_wh: tuple[int, int]) -> None:
    fabric = weave(spec, size_wh, _rng(1))
    for part in (fabric.slope_x, fabric.slope_y, fabric.gloss):
        assert part.shape == size_wh[::-1] and np.isfinite(part).all()
    assert fabric.albedo.shape in ((1, 1, 3), (*size_wh[::-1], 3))
    assert np.abs(fabric.slope_x).max() <= STEEPEST and np.abs(fabric.slope_y).max() <= STEEPEST
    assert fabric.albedo.min() >= 0 and fabric.albedo.max() <= 255
    assert fabric.gloss.min() > 0 and 0.8 < fabric.gloss.mean() < 1.1


@pytest.mark.parametrize("size_wh", [SMALL, LARGE])
def test_a_sheet_depends_on_the_generator_alone_and_not_on_those_before(size_wh: tuple[int, int]) -> None:
    first = _bytes(weave(BLUE, size_wh, _rng(5)))
    others = {_bytes(weave(BLUE, size_wh, _rng(seed))) for seed in range(40)}
    assert _bytes(weave(BLUE, size_wh, _rng(5))) == first
    # Two dozen lie in the drawer, mirror images counted; no large one comes twice.
    assert len(others) > 14 if size_wh[0] <= DRAWER_WIDTH else len(others) == 40


def test_what_lies_in_the_drawer_cannot_be_written_on() -> None:
    fabrics = [weave(BLUE, SMALL, _rng(seed)) for seed in range(8)]
    assert any(not fabric.gloss.flags.writeable for fabric in fabrics)


def test_the_jaw_line_is_sharper_than_the_edge_on_the_cheek() -> None:
    face = turned_face(40, (150, 150))
    _, alpha = draw(skin_image(face, (300, 300), (130, 150, 205)), face, BLUE, _rng(0))
    widths = []
    for column in (alpha[: int(face[30, 1]) + 10, 132], alpha[int(face[57, 1]) :, 150][::-1]):
        level = column.astype(float) / 255
        widths.append(
            float(np.interp(0.9, level, range(len(level))) - np.interp(0.1, level, range(len(level))))
        )
    cheek, chin = widths
    assert chin < 0.8 * cheek


def test_dark_cloth_is_never_black_and_shows_less_noise_than_pale() -> None:
    face = turned_face(60, (150, 150))
    noise = np.random.default_rng(2).normal(0, 6, (300, 300, 1))
    image = np.clip(skin_image(face, (300, 300), (110, 130, 185)) + noise, 0, 255).astype(np.uint8)
    spreads = []
    for color in ("#000000", "#c0c0c0"):
        masked, alpha = draw(image, face, MaskSpec("cloth", "cloth", color, "plain"), _rng(0))
        grey = cv2.cvtColor(masked, cv2.COLOR_BGR2GRAY).astype(np.float32)
        core = cv2.erode(alpha, np.ones((9, 9), np.uint8)) == 255
        spreads.append(float((grey - cv2.GaussianBlur(grey, (0, 0), 1.5))[core].std()))
        assert grey[core].mean() > 2
    assert spreads[0] < 0.8 * spreads[1]


@pytest.mark.parametrize(("yaw_deg", "sides"), [(0, [-1, 1]), (40, [-1]), (-40, [1])])
def test_loops_lie_on_the_seen_sides_only_and_count_as_cover(yaw_deg: float, sides: list[int]) -> None:
    face = turned_face(60, (150, 150), yaw_deg)
    frame = read_frame(face)
    # The wall is as skin here, so that nothing hides the loops.
    image = np.full((300, 300, 3), (130, 150, 205), np.uint8)
    dark = MaskSpec("cloth", "cloth", "#303030", "plain")
    meshes, lights = lay_alone(face, frame, dark), [read_alone(image, face, frame)]
    (loops,) = lay_loops([image], face[None], [frame], meshes, [dark], lights)
    assert [int(np.sign(frame.across(loop.bands).mean())) for loop in loops] == sides
    masked, alpha = draw(image, face, dark, _rng(0))
    for loop in loops:
        x, y = np.round(loop.bands[0, 3]).astype(int)
        assert alpha[y, x] > 100
        assert (masked[y, x] < image[y, x]).all()
