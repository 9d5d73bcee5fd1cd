"""What is read from a photograph: light, colour, sharpness and noise, each known beforehand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.arrays import ImageBgr
from tests.unit.test_masks_mesh import skin_image, turned_face
from workers.masks.frame import read_frame
from workers.masks.light import LUMA, Light, light_map, read_light
from workers.masks.optics import read_optics
from workers.masks.ranks import rank

FACE = turned_face(60, (150, 150))
FRAME = read_frame(FACE)
PHOTO = skin_image(FACE, (300, 300), (130, 150, 205))


def _light(image: ImageBgr) -> Light:
    return read_light(image, FACE, FRAME)


@pytest.mark.parametrize("slope", [-0.3, 0.0, 0.25])
def test_the_slope_of_the_light_is_found(slope: float) -> None:
    # Relative change per eye distance, 1 at the face's middle.
    factor = 1 + slope * (np.arange(300) - 150) / FRAME.unit
    image = np.clip(PHOTO * factor[None, :, None] * 0.8, 0, 255).astype(np.uint8)
    light = _light(image)
    assert light.slope[0] == pytest.approx(slope, abs=0.08)
    assert np.sign(np.round(light.direction[0], 2)) == np.sign(slope)
    factors = light_map(light, FRAME, (100, 100), (100, 100))
    assert np.sign(np.round(factors[:, -1].mean() - factors[:, 0].mean(), 1)) == np.sign(slope)


def test_the_axes_of_the_light_turn_with_the_face() -> None:
    factor = np.linspace(1.2, 0.5, 300)[None, :, None]
    image = np.clip(PHOTO * factor, 0, 255).astype(np.uint8)
    turned = np.ascontiguousarray(np.rot90(image))
    # A quarter turn to the left: (x, y) goes to (y, 299 - x).
    face = np.stack([FACE[:, 1], 299 - FACE[:, 0]], axis=1)
    light = read_light(turned, face, read_frame(face))
    np.testing.assert_allclose(light.slope, _light(image).slope, atol=0.02)


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
    # 0.5 to the power of 0.85.
    assert ratio == pytest.approx(0.555, abs=0.03)


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
