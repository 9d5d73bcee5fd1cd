"""What is read from a photograph: light, colour, sharpness and noise, each known beforehand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.arrays import FloatArray, ImageBgr
from tests.unit.test_masks_mesh import skin_image, turned_face
from workers.masks.frame import FaceFrame, read_frame
from workers.masks.grain import add_grain
from workers.masks.harmonics import fit_terms, head_normals, terms
from workers.masks.light import LUMA, Light, directions, patches_at
from workers.masks.optics import read_optics
from workers.masks.pose import Pose, read_poses
from workers.masks.ranks import rank
from workers.masks.skin_light import read_lights

FACE = turned_face(60, (150, 150))
FRAME = read_frame(FACE)
PHOTO = skin_image(FACE, (300, 300), (130, 150, 205))


def _light(image: ImageBgr) -> Light:
    return read_alone(image, FACE, FRAME)


def read_alone(image: ImageBgr, face: FloatArray, frame: FaceFrame) -> Light:
    """Return the light on one face as that of a picture with no other."""
    return read_lights([image], face[None], [frame], read_poses(face[None], [frame]))[0]


def _on(light: Light, x: float, y: float) -> float:
    normal = np.array([x, y, np.sqrt(1 - x * x - y * y)])
    return float(terms(normal) @ light.harmonics)


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.25])
def test_the_side_that_the_light_comes_from_is_found(slope: float) -> None:
    # Relative change per eye distance, 1 at the face's middle.
    factor = 1 + slope * (np.arange(300) - 150) / FRAME.unit
    light = _light(np.clip(PHOTO * factor[None, :, None] * 0.8, 0, 255).astype(np.uint8))
    left, right = (_on(light, side, 0.0) for side in (-0.7, 0.7))
    assert np.sign(np.round(right - left, 1)) == np.sign(slope)
    assert np.sign(np.round(directions(light.harmonics[None])[0, 0], 1)) == np.sign(slope)


def test_light_from_above_makes_what_looks_up_brighter() -> None:
    factor = np.interp(np.arange(300), (80, 260), (1.15, 0.5))
    light = _light((PHOTO * factor[:, None, None]).astype(np.uint8))
    assert _on(light, 0.0, -0.7) > 1.3 * _on(light, 0.0, 0.7)


def test_a_cast_shadow_stays_on_the_map_of_patches() -> None:
    dark = PHOTO.copy()
    dark[150:200, 150:] //= 2
    light = _light(dark)
    ((shaded, bare),) = patches_at([light], np.array([[[190.0, 175.0], [110.0, 175.0]]]))
    assert shaded < 0.8 * bare


def test_the_harmonics_of_a_known_light_are_found_again() -> None:
    rng = np.random.default_rng(3)
    normals = rng.normal(size=(4000, 3))
    normals[:, 2] = np.abs(normals[:, 2])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    known = np.array([0.7, 0.3, -0.2, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0])
    system = terms(normals)
    values = system @ known
    # Two faces: half of the places are each one's.
    halves = [np.sort(half) for half in np.split(values, 2)]
    found, fitted = fit_terms(system, values, np.ones(4000), halves)
    np.testing.assert_allclose(found[:, 1:3], [known[1:3]] * 2, atol=0.03)
    np.testing.assert_allclose(fitted[2000:], system[2000:] @ found[1])


def test_the_nine_terms_of_a_slanting_normal_are_those_worked_by_hand() -> None:
    np.testing.assert_allclose(
        terms(np.array([[0.48, -0.6, 0.64]])),
        [[1, 0.48, -0.6, 0.64, -0.288, 0.3072, -0.384, -0.1296, 0.2288]],
        atol=1e-12,
    )


def test_a_head_turned_to_the_right_shows_its_left_side() -> None:
    turns = np.array([np.eye(3), Pose(30.0, 0.0, 0.0).turn()])
    normals, there = head_normals(
        np.array([0.0, -0.9, 5.0, 0.0]), np.array([0.6] * 4), turns, np.array([3, 1])
    )
    assert there.tolist() == [True, True, False, True]
    assert normals[0, 2] > 0.99 and normals[1, 0] < -0.5
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    alone, _ = head_normals(np.array([0.0]), np.array([0.6]), turns[1:], np.array([1]))
    assert (alone[0] == normals[3]).all()
    # The ellipsoid's own front looks to the right now.
    assert (Pose(30.0, 0.0, 0.0).turn() @ [0, 0, 1])[0] == pytest.approx(0.5)


def test_the_axes_of_the_light_turn_with_the_face() -> None:
    factor = np.linspace(1.2, 0.5, 300)[None, :, None]
    image = np.clip(PHOTO * factor, 0, 255).astype(np.uint8)
    turned = np.ascontiguousarray(np.rot90(image))
    # A quarter turn to the left: (x, y) goes to (y, 299 - x).
    face = np.stack([FACE[:, 1], 299 - FACE[:, 0]], axis=1)
    frame = read_frame(face)
    light = read_alone(turned, face, frame)
    np.testing.assert_allclose(light.harmonics, _light(image).harmonics, atol=0.02)


def test_the_tint_of_plain_skin_is_none_and_a_warm_lamp_is_warm() -> None:
    assert np.abs(_light(PHOTO).tint - 1).max() < 0.1
    blue, _, red = _light((PHOTO * [0.6, 0.95, 1.1]).astype(np.uint8)).tint
    assert red - blue > 0.1
    assert _light(PHOTO).tint @ LUMA == pytest.approx(1, abs=1e-5)


def test_a_grey_photograph_has_neither_saturation_nor_tint() -> None:
    grey = np.repeat(cv2.cvtColor(PHOTO, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)
    light = _light(grey)
    assert light.saturation == 0
    assert (light.tint == 1).all()
    assert _light(PHOTO).saturation == 1


def test_half_the_light_is_about_half_the_exposure() -> None:
    ratio = _light((PHOTO * 0.4).astype(np.uint8)).exposure / _light((PHOTO * 0.8).astype(np.uint8)).exposure
    # 4.1 r / (2.6 + r) at r = 0.4 and 0.8, which is about what this skin sends back.
    assert ratio == pytest.approx(0.567, abs=0.03)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.5])
def test_the_blur_of_an_edge_is_measured(sigma: float) -> None:
    step = np.full((300, 300, 3), 60, dtype=np.float32)
    step[:, 150:] = 190
    image = np.round(cv2.GaussianBlur(step, (0, 0), sigma)).astype(np.uint8)
    # The difference over two pixels blurs by a variance of 1/3 to 1/2 itself.
    assert read_optics(image, FRAME).blur_px == pytest.approx(np.hypot(sigma, 0.65), rel=0.1)


@pytest.mark.parametrize("spread", [0.0, 2.0, 5.0])
def test_the_noise_of_a_flat_wall_is_measured(spread: float) -> None:
    noise = np.random.default_rng(1).normal(0, spread, (300, 300, 1))
    image = np.clip(np.round(128 + noise), 0, 255).astype(np.uint8).repeat(3, axis=2)
    assert read_optics(image, FRAME).noise == pytest.approx(spread, rel=0.25, abs=0.3)


def test_a_rank_is_the_value_above_its_share_of_the_others() -> None:
    values = np.array([[5, 1, 4], [2, 3, 0]], dtype=np.float32)
    assert [rank(values, share) for share in (0, 0.5, 0.99, 1)] == [0, 3, 5, 5]
    assert rank(np.array([7], dtype=np.float32), 0.5) == 7


@pytest.mark.parametrize("size_wh", [(1, 1), (200, 90), (320, 320), (700, 500)])
def test_grain_has_the_spread_asked_for_and_no_hue_in_a_grey_picture(size_wh: tuple[int, int]) -> None:
    plain = np.zeros((size_wh[1], size_wh[0], 3), np.float32)
    noise = add_grain(plain, 4.0, 0.0, np.random.default_rng(0))
    assert noise.shape == plain.shape and not plain.any()
    assert (noise == noise[..., :1]).all()
    if size_wh != (1, 1):
        assert noise.std() == pytest.approx(4.0 * 1.15, rel=0.1)
    colored = add_grain(plain, 4.0, 1.0, np.random.default_rng(0))
    assert (colored != colored[..., :1]).any()
