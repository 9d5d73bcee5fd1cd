"""The two sides of a face and those of a mask on it, under light that is known beforehand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.arrays import ImageBgr
from tests.unit.test_masks_light import read_alone
from tests.unit.test_masks_mesh import BLUE, lay_alone, skin_image, turned_face
from workers.masks.draw import draw
from workers.masks.frame import read_frame
from workers.masks.light import directions, patches_at
from workers.masks.raster import rasterise
from workers.masks.shading import shade_meshes, with_sides
from workers.masks.sides import GAIN, MOST, read_asymmetries
from workers.masks.spec import MaskSpec

FACE = turned_face(60, (150, 150))
FRAME = read_frame(FACE)
PHOTO = skin_image(FACE, (300, 300), (110, 130, 185))
GREY = MaskSpec("cloth-grey", "cloth", "#808080", "plain")


def _lit(slope: float, photo: ImageBgr = PHOTO) -> ImageBgr:
    """Return the head with a brightness that changes by `slope` per eye distance to the right."""
    factor = 1 + slope * (np.arange(300) - 150) / FRAME.unit
    return np.clip(photo * factor[None, :, None], 0, 255).astype(np.uint8)


def _grid(step: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    across, along = np.meshgrid(np.arange(-1, 1, step) + step / 2, np.arange(-0.9, 1.9, step))
    return across, along


def _asymmetry(luma: np.ndarray, across: np.ndarray, along: np.ndarray) -> float:
    """Return that of a picture that is all skin, behind one that is mirrored."""
    skin = np.ones((2, *luma.shape), dtype=bool)
    mirrored, own = read_asymmetries(
        np.array([luma, luma]), skin, np.array([-across, across]), np.array([along, along])
    )
    assert own == pytest.approx(-mirrored, abs=1e-6)
    return own


def test_a_slope_of_light_is_read_as_the_asymmetry_worked_by_hand() -> None:
    across, along = _grid()
    luma = (100 * (1 - 0.1 * across)).astype(np.float32)
    # Halves from 0.05 to 0.62 units aside have their means 0.335 from the middle: (L - R) / (L + R) = 0.1 x 0.335.
    found = _asymmetry(luma, across, along)
    assert found == pytest.approx(GAIN * 0.1 * 0.335, rel=0.05)
    # Never more than that, however hard the light.
    luma = np.where(across < 0, 200, 130).astype(np.float32)
    assert 0.25 < _asymmetry(luma, across, along) < MOST


def test_hair_over_half_of_the_forehead_is_no_lamp() -> None:
    across, along = _grid()
    luma = np.full_like(across, 100, dtype=np.float32)
    luma[(along < -0.5) & (across > 0.1)] = 25
    assert abs(_asymmetry(luma, across, along)) < 0.01


def test_a_picture_without_a_right_half_tells_nothing_of_sides() -> None:
    across, along = _grid()
    left = across[:, :18]
    luma = np.full_like(left, 90, dtype=np.float32)
    assert _asymmetry(luma, left, along[:, :18]) == 0


@pytest.mark.parametrize("yaw_deg", [-25, 0, 25])
@pytest.mark.parametrize("slope", [-0.25, -0.1, 0.1, 0.25])
def test_the_mesh_shows_the_asymmetry_that_the_face_asks_for(slope: float, yaw_deg: float) -> None:
    face = turned_face(60, (150, 150), yaw_deg)
    frame = read_frame(face)
    image = _lit(slope, skin_image(face, (300, 300), (110, 130, 185)))
    meshes = lay_alone(face, frame, BLUE)
    lights = [read_alone(image, face, frame)]
    patches = patches_at(lights, meshes.points)
    (light,) = lights = with_sides(lights, meshes, [frame], patches)
    (mesh,) = meshes.each()
    raster = rasterise(mesh, (0, 0), (300, 300), 1, 1)
    rows, columns = mesh.depth.shape
    shown = cv2.remap(
        np.ascontiguousarray(
            shade_meshes(lights, directions(light.harmonics[None]), meshes, patches)[0, ..., 0]
        ),
        raster.u * np.float32(columns - 1),
        raster.v * np.float32(rows - 1),
        cv2.INTER_LINEAR,
    )
    across = frame.across(np.stack(np.meshgrid(np.arange(300), np.arange(300)), axis=-1)) / frame.unit
    core = cv2.erode(raster.cover, np.ones((9, 9), np.uint8)) == 1
    left, right = (shown[core & (side * across > 0) & (np.abs(across) < 0.62)].mean() for side in (-1, 1))
    # The mesh is coarse and one step of Newton's method is not the end of it.
    assert (left - right) / (left + right) == pytest.approx(light.asymmetry, rel=0.3, abs=0.02)
    assert np.sign(left - right) == -np.sign(slope)


def test_the_masks_halves_differ_more_the_more_the_faces_do() -> None:
    shown = []
    for slope in (-0.3, -0.15, 0.0, 0.15, 0.3):
        masked, alpha = draw(_lit(slope), FACE, GREY, np.random.Generator(np.random.PCG64(0)))
        luma = cv2.cvtColor(masked, cv2.COLOR_BGR2GRAY).astype(float)
        core = cv2.erode(alpha, np.ones((15, 15), np.uint8)) == 255
        left, right = luma[:, 115:150][core[:, 115:150]].mean(), luma[:, 150:185][core[:, 150:185]].mean()
        shown.append((left - right) / (left + right))
    assert np.all(np.diff(shown) < -0.02)
    assert abs(shown[2]) < 0.02
    # Half an eye distance and a little more on either side: 0.29 units from the middle on average, that is 0.087.
    assert 0.087 < shown[0] < 2.2 * 0.087
