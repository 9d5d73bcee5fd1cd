"""The light on a face: what a mask on it gets, and its colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.harmonics import terms
from workers.masks.planes import within

Field = npt.NDArray[np.float32]
# Pixels along the longer side of the small copy that the light is read from.
SAMPLES = 24
# BT.601 weights of blue, green, red.
LUMA = np.array([0.114, 0.587, 0.299], dtype=np.float32)
# Blue, green, red over luminance of well-lit skin: the median of the faces of ../shared/faces.
SKIN_TINT = np.array([0.78, 0.91, 1.26], dtype=np.float32)
# How far skins differ from that by themselves.
SKIN_CAST = 0.06
# Luminance of skin, and of the brightest things around it, in a well exposed photograph.
GOOD_SKIN, GOOD_WHITE = 140.0, 208.0
# Without any sign of where it comes from, light comes a little from above.
FROM_ABOVE = -0.10
# Unit normals of the left flank, the ridge and the right flank of a mask.
_FLANKS = np.array([[-0.55, -0.10, 0.83], [0.0, -0.20, 0.98], [0.55, -0.10, 0.83]])
_FLANK_TERMS = terms(_FLANKS).mean(axis=0)
# So much light is on a mask at least.
LEAST_LEVEL = 0.3


@dataclass(frozen=True, slots=True)
class Light:
    """The light on one face.

    Attributes:
        exposure: factor on what a fabric sends back in a well exposed photograph.
        tint: (3,) float32 factors on blue, green, red; their luminance is 1.
        saturation: 0 in a grey photograph, 1 in one in colour.
        harmonics: (9,) of `workers.masks.harmonics.terms`: the face's `right`, its `down`, towards the
            camera; typical skin gets about 1.
        asymmetry: (L - R) / (L + R) of the luminance that a mask should show, L its image-left half.
        patches: (SAMPLES, SAMPLES) float32, whose upper left is a small map of the smooth rest: shadows and
            bright spots, near 1.
        skin: the same of all the light on the skin, smooth, typical skin 1.
        to_map: from pixels of the image to theirs: pixels of the map to one of the image across and down; what is
            added to x and y before; the map's last column and row.
    """

    exposure: float
    tint: npt.NDArray[np.float32]
    saturation: float
    harmonics: FloatArray
    asymmetry: float
    patches: Field
    skin: Field
    to_map: tuple[float, float, float, float, int, int]


def directions(harmonics: FloatArray) -> FloatArray:
    """Return (B, 3) unit vectors to where most light comes from, of (B, 9); to the camera where it has no side."""
    vectors = harmonics[:, 1:4].copy()
    x, y, z = vectors.T
    y += FROM_ABOVE
    np.maximum(z, 0, out=z)
    z += 0.25
    vectors /= np.sqrt(x * x + y * y + z * z)[:, None]
    return vectors


def mean_level(harmonics: FloatArray) -> FloatArray:
    """Return (B,) what middle and flanks of a mask get on average on a head that faces the camera, of (B, 9)."""
    level: FloatArray = (harmonics * _FLANK_TERMS).sum(axis=-1)
    return level


def patches_at(lights: Sequence[Light], points: FloatArray) -> Field:
    """Return (B, …) patches of B lights at (B, …, 2) places in the image; beyond a face its last patch goes on."""
    return _at([light.patches for light in lights], lights, points, np.arange(len(lights)))


def skin_at(lights: Sequence[Light], points: FloatArray, whose: npt.NDArray[np.intp]) -> Field:
    """Return (N, …) light on the skin at (N, …, 2) places in the image, each group of them (N,) some light's."""
    return _at([light.skin for light in lights], lights, points, whose)


def _at(
    maps: Sequence[Field], lights: Sequence[Light], points: FloatArray, whose: npt.NDArray[np.intp]
) -> Field:
    fits = [light.to_map for light in lights]
    # One row of numbers each, which the places' own axes follow.
    shape = len(whose), *[1] * (points.ndim - 2)
    by_x, by_y, left, up, last_x, last_y = (own.reshape(shape) for own in np.array(fits)[whose].T)
    x, y = points[..., 0] + left, points[..., 1] + up
    x *= by_x
    y *= by_y
    flat = within(y, 0, last_y, out=y).astype(np.intp)
    flat *= SAMPLES
    flat += within(x, 0, last_x, out=x).astype(np.intp)
    flat += (SAMPLES * SAMPLES) * whose.reshape(shape)
    found: Field = np.concatenate(maps).take(flat)
    return found


def exposure_of(white: float, typical: float) -> float:
    """Return how bright the photograph is, 1 well exposed, less in the dark, by its brightest and its typical skin.

    Skin alone would darken the mask of a dark face, the brightest spots alone believe in a lamp behind it.
    """
    exposure = 0.45 * typical / GOOD_SKIN + 0.55 * white / GOOD_WHITE
    # Cameras lift what is a little dark, and leave the night dark.
    return min(max(4.1 * exposure / (2.6 + exposure), 0.06), 1.25)


def saturation_of(brightest: float, dullest: float, pixels: int) -> float:
    """Return 0 for a picture in grey, 1 for one in colour.

    Args:
        brightest, dullest: sums of every pixel's largest and smallest channel.
        pixels: how many there are.
    """
    colorful = (brightest - dullest) / max(brightest, float(pixels))
    # JPEG leaves up to 0.02 in a grey picture; faces in colour have 0.15 and more.
    return min(max((colorful - 0.02) / 0.08, 0.0), 1.0)


def tint_of(skin_bgr: Sequence[float], saturation: float) -> npt.NDArray[np.float32]:
    """Return (3,) factors that carry a part of the light's colour on to the mask."""
    if saturation <= 0:
        return np.ones(3, np.float32)
    mean = [max(level, 2.0) for level in skin_bgr]
    grey = grey_of(mean)
    cast = [level / grey / skin for level, skin in zip(mean, SKIN_TINT.tolist(), strict=True)]
    # Small casts are the skin's own; a lamp's are large.
    largest = max(*(abs(one - 1) for one in cast), 1e-3)
    believed = 0.85 * max(0.0, 1 - SKIN_CAST / largest) * min(1.0, 0.45 / largest) * saturation
    tint = [1 + believed * (one - 1) for one in cast]
    grey = grey_of(tint)
    return np.array([one / grey for one in tint], np.float32)


def grey_of(bgr: Sequence[float]) -> float:
    """Return the luminance of a colour."""
    blue, green, red = LUMA.tolist()
    return float(blue * bgr[0] + green * bgr[1] + red * bgr[2])
