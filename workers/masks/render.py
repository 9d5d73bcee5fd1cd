"""A worn mask as pixels: colour and cover of a window of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray
from workers.masks.fabrics import weave
from workers.masks.frame import FaceFrame
from workers.masks.grain import grain
from workers.masks.light import LUMA, Light, light_fabric, light_map
from workers.masks.loops import Band, draw_loops, loop_color
from workers.masks.mesh import Mesh
from workers.masks.optics import Optics
from workers.masks.raster import rasterise
from workers.masks.shadow import cast_shadow
from workers.masks.spec import MaskSpec

Box = tuple[int, int, int, int]
Field = npt.NDArray[np.float32]
# A small face is drawn enlarged until its eyes are this many pixels apart, then shrunk: smooth edges.
RASTER_UNIT_PX = 40
MAX_SCALE = 4
# Largest and smallest width of the fabric's picture, pixels; its height is 5/8 of that.
MAX_FABRIC, MIN_FABRIC = 512, 64
# Above KNEE brightness rises ever slower, and reaches at most KNEE + HEADROOM.
KNEE, HEADROOM = np.float32(212), np.float32(43)


@dataclass(frozen=True, slots=True)
class WornMask:
    """Everything that decides how a mask looks on one face; `bands` are the loops that can be seen.

    `skin` is (N, 2), the outline of face and neck on which the mask throws its shadow.
    """

    spec: MaskSpec
    frame: FaceFrame
    mesh: Mesh
    bands: list[Band]
    light: Light
    optics: Optics
    skin: FloatArray

    @property
    def edge_px(self) -> float:
        """The sigma of the mask's soft edge.

        Real masks' edges rise from 10 to 90 % over about 5 pixels (sigma 1.9) where the eyes are 40 apart:
        the fabric is round there, and the photograph blurred. The roundness grows slower than the face.
        """
        blur_px = min(self.optics.blur_px, 0.12 * self.frame.unit)
        return math.hypot(1.3 * (self.frame.unit / 40) ** 0.4, blur_px)

    @property
    def scale(self) -> int:
        """Raster pixels to a side of one pixel of the image."""
        return min(MAX_SCALE, max(1, math.ceil(RASTER_UNIT_PX / self.frame.unit)))

    @property
    def margin_px(self) -> int:
        """How far beyond mesh and bands the mask may cover a pixel."""
        return math.ceil(3 * self.edge_px + 0.05 * self.frame.unit) + 2

    @property
    def shadow_px(self) -> int:
        """How far beyond that its shadow may fall."""
        return math.ceil(0.21 * self.frame.unit)


@dataclass(frozen=True, slots=True)
class Picture:
    """A window of a worn mask.

    Attributes:
        color: (h, w, 3) float32 of the mask, 0..255 and a little beyond.
        cover: (h, w) float32, 0..1, of mask and loops.
        fabric: (h, w) float32, 0..1, of the mask alone: it throws a shadow, loops throw none.
    """

    color: Field
    cover: Field
    fabric: Field


def render(worn: WornMask, window: Box, rng: np.random.Generator) -> Picture:
    """Return the mask as it is seen in a window of the image.

    Args:
        worn: the mask on its face.
        window: x1, y1, x2, y2 of the image, maxima exclusive; neither side is empty.
        rng: gives folds, weave and noise.
    """
    x1, y1, x2, y2 = window
    origin_xy, size_wh = (x1, y1), (x2 - x1, y2 - y1)
    color, cover = _dress(worn, origin_xy, size_wh, rng)
    color = np.asarray(cv2.GaussianBlur(color, (0, 0), max(0.25, worn.optics.blur_px)), np.float32)
    edge_px = worn.edge_px
    # The fabric turns away at its edge and goes dark there.
    turned = np.clip(2 * _blurred(cover, 2.5 * edge_px) - np.float32(0.6), 0, 1)
    soft = _soft(cover, edge_px)
    factor = (np.float32(0.84) + np.float32(0.16) * turned) * light_map(
        worn.light, worn.light.patches, origin_xy, size_wh
    )
    color *= wide(factor)
    color, total = _add_loops(worn, color, soft, origin_xy, size_wh)
    # Film and sensors bend towards white instead of stopping at it.
    if float(color.max()) > KNEE:
        bright = np.maximum(color - KNEE, 0)
        color -= bright
        bright /= bright + HEADROOM
        bright *= HEADROOM
        color += bright
    color += grain(size_wh, worn.optics.noise, worn.light.saturation, rng)
    return Picture(color, total, soft)


def throw_shadow(worn: WornMask, fabric: Field, window: Box, around: Box) -> Field:
    """Return the (h, w) float32 part of the light that a mask takes from `around`, a box about its window."""
    pads = window[1] - around[1], around[3] - window[3], window[0] - around[0], around[2] - window[2]
    cover = cv2.copyMakeBorder(fabric, *pads, cv2.BORDER_CONSTANT, value=0)
    return cast_shadow(
        np.asarray(cover, np.float32), worn.light.direction, worn.skin - around[:2], worn.frame
    )


def _dress(
    worn: WornMask, origin_xy: tuple[int, int], size_wh: tuple[int, int], rng: np.random.Generator
) -> tuple[Field, Field]:
    """Return the (h, w, 3) colour of the fabric on the face and its (h, w) cover, both still sharp."""
    scale = worn.scale
    reach = math.ceil(3 * worn.edge_px * scale) + 1
    raster = rasterise(worn.mesh, origin_xy, size_wh, scale, reach)
    fabric = light_fabric(weave(worn.spec, _fabric_size(worn.mesh, scale), rng), worn.mesh, worn.light)
    height, width = fabric.shape[:2]
    color = cv2.remap(
        fabric,
        raster.u * np.float32(width - 1),
        raster.v * np.float32(height - 1),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return _shrunk(np.asarray(color, np.float32), size_wh), _shrunk(raster.cover, size_wh)


def _add_loops(
    worn: WornMask, color: Field, soft: Field, origin_xy: tuple[int, int], size_wh: tuple[int, int]
) -> tuple[Field, Field]:
    """Return the colour with the loops under the mask, and the cover of mask and loops together."""
    if not worn.bands:
        return color, soft
    sharp = _shrunk(draw_loops(worn.bands, worn.frame.unit, origin_xy, size_wh, worn.scale), size_wh)
    loops = _soft(sharp, max(0.4, 0.6 * worn.optics.blur_px))
    loops *= np.float32(0.9) * (1 - soft)
    total = soft + loops
    bands_color = loop_color(worn.spec)
    grey = bands_color @ LUMA
    plain = grey + np.float32(worn.light.saturation) * (bands_color - grey)
    lit = plain * np.float32(0.88 * worn.light.exposure) * worn.light.tint
    around = light_map(worn.light, worn.light.skin, origin_xy, size_wh)
    strips = cv2.merge([around * np.float32(value) for value in lit.tolist()])
    share = loops / np.maximum(total, np.float32(1e-3))
    return np.asarray(cv2.blendLinear(color, strips, 1 - share, share), np.float32), total


def wide(field: Field) -> Field:
    """Return (h, w, 3) from (h, w): to multiply by three channels side by side takes a fifth of the time."""
    return np.asarray(cv2.merge([field, field, field]), np.float32)


def _blurred(field: Field, sigma: float) -> Field:
    """Return a field blurred; a wide blur is made on a smaller copy."""
    if sigma < 6:
        return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32)
    height, width = field.shape
    shrink = 3 / sigma
    size_wh = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = cv2.GaussianBlur(cv2.resize(field, size_wh, interpolation=cv2.INTER_AREA), (0, 0), 3)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _soft(cover: Field, sigma: float) -> Field:
    """Return the cover with a soft edge; what is nearly nothing becomes nothing."""
    blurred = cv2.GaussianBlur(cover, (0, 0), sigma)
    soft: Field = np.clip((blurred - np.float32(0.02)) / np.float32(0.96), 0, 1)
    return soft


def _fabric_size(mesh: Mesh, scale: int) -> tuple[int, int]:
    """Return width and height of the fabric's picture: about the pixels that show it."""
    middle = mesh.points[mesh.points.shape[0] // 2]
    length = float(np.hypot(*np.diff(middle, axis=0).T).sum())
    width = min(MAX_FABRIC, max(MIN_FABRIC, math.ceil(length * scale)))
    return width, width * 5 // 8


def _shrunk(picture: Field, size_wh: tuple[int, int]) -> Field:
    """Return a raster at the image's own resolution, each pixel the mean of those it covers."""
    if picture.shape[1] == size_wh[0]:
        return picture
    return np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), np.float32)
