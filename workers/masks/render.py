"""A worn mask as pixels: colour and cover of a window of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from workers.masks.colors import bgr_of
from workers.masks.fabrics import weave
from workers.masks.fitting import Box, WornMask
from workers.masks.grain import add_grain
from workers.masks.light import LUMA
from workers.masks.planes import Field, blurred, within
from workers.masks.raster import Raster, rasterise
from workers.masks.shading import light_fabric
from workers.masks.shadow import cast_shadow

# Which place of the fabric a pixel shows is worked out where eyes are at most this many pixels apart.
PLACES_UNIT_PX = 18.0
# Widths of the fabric's picture, pixels: what all masks of a size have in common is kept. The height is 5/8.
FABRIC_WIDTHS = (48, 64, 96, 128, 176, 256, 352, 448, 640, 1024)
# A blur below this changes nothing.
LEAST_BLUR_PX = 0.35


@dataclass(frozen=True, slots=True)
class Picture:
    """A window of a worn mask.

    Attributes:
        color: (h, w, 3) float32 of the mask, 0..255 and a little beyond.
        cover: (h, w) float32, 0..1, how far the mask covers each pixel.
    """

    color: Field
    cover: Field


def render(worn: WornMask, window: Box, rng: np.random.Generator) -> Picture:
    """Return the mask as it is seen in a window of the image.

    Args:
        worn: the mask on its face.
        window: x1, y1, x2, y2 of the image, maxima exclusive; neither side is empty.
        rng: gives folds, weave and noise.
    """
    x1, y1, x2, y2 = window
    origin_xy, size_wh = (x1, y1), (x2 - x1, y2 - y1)
    detail = min(1.0, PLACES_UNIT_PX / worn.reading.frame.unit)
    width, height = fabric_wh = _fabric_size(worn.mesh.length)
    reach = 3 * worn.edge_px + 1
    raster = rasterise(worn.mesh, origin_xy, size_wh, detail, reach, (width - 1, height - 1))
    fabric = light_fabric(weave(worn.spec, fabric_wh, rng), worn.light, worn.shade)
    # A map of pairs needs no second one, which OpenCV's types do not know.
    color = cv2.remap(
        fabric, raster.places, cast(Field, None), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if worn.reading.optics.blur_px > LEAST_BLUR_PX:
        color = blurred(np.asarray(color, np.float32), worn.reading.optics.blur_px)
    noise = worn.reading.optics.noise * _noise_share(worn)
    color = add_grain(np.asarray(color, np.float32), noise, worn.light.saturation, rng)
    return Picture(color, _edged(raster, worn))


def _noise_share(worn: WornMask) -> float:
    """Return the part of the skin's noise that the fabric shows: cameras smooth what is dark."""
    luma = float(bgr_of(worn.spec.color) @ LUMA) * worn.light.exposure
    return 0.5 + 0.5 * min(1.0, luma / 120)


def _edged(raster: Raster, worn: WornMask) -> Field:
    """Return the cover with its edges: soft where the fabric lies on the cheek, else as sharp as the photograph."""
    soft = soften(raster.cover, worn.edge_px)
    if worn.rim_px > 0.8 * worn.edge_px:
        return soft
    sharp = soften(raster.cover, worn.rim_px)
    # The upper edge ends where the side edges begin.
    lower = raster.places[..., 1] * np.float32(4 / raster.scale_uv[1])
    lower -= np.float32(0.6)
    within(lower, 0, 1, out=lower)
    sharp -= soft
    sharp *= lower
    soft += sharp
    return soft


def throw_shadow(worn: WornMask, fabric: Field, window: Box, around: Box) -> Field:
    """Return the (h, w) float32 part of the light that a mask takes from `around`, a box about its window."""
    return cast_shadow(
        fabric,
        (window[0] - around[0], window[1] - around[1]),
        (around[2] - around[0], around[3] - around[1]),
        worn.towards,
        worn.reading.skin - around[:2],
        worn.reading.frame,
    )


def soften(cover: Field, sigma: float) -> Field:
    """Return the cover with a soft edge; what is nearly nothing becomes nothing."""
    soft = blurred(cover, sigma)
    soft -= np.float32(0.02)
    soft *= np.float32(1 / 0.96)
    return within(soft, 0, 1, out=soft)


def _fabric_size(length: float) -> tuple[int, int]:
    """Return width and height of the picture of a fabric seen so long: about its pixels, in a few steps."""
    width = next((width for width in FABRIC_WIDTHS if width >= 0.85 * length), FABRIC_WIDTHS[-1])
    return width, width * 5 // 8
