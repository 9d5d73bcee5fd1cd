"""The light on a face, read from its skin, and what it does to a mask."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from workers.masks.fabrics import Fabric
from workers.masks.frame import FaceFrame
from workers.masks.mesh import Mesh
from workers.masks.ranks import rank

Field = npt.NDArray[np.float32]
# Pixels along the longer side of the small copy that the light is read from.
SAMPLES = 40
# BT.601 weights of blue, green, red.
LUMA = np.array([0.114, 0.587, 0.299], dtype=np.float32)
# Blue, green, red over luminance of well-lit skin: the median of the faces of ../shared/faces.
SKIN_TINT = np.array([0.78, 0.91, 1.26], dtype=np.float32)
# Luminance of skin, and of the brightest things around it, in a well exposed photograph.
GOOD_SKIN, GOOD_WHITE = 140.0, 208.0
# Part of the light that comes from everywhere and knows no direction.
AMBIENT = 0.45


@dataclass(frozen=True, slots=True)
class Light:
    """The light on one face.

    Attributes:
        exposure: factor on what a fabric sends back in a well exposed photograph.
        tint: (3,) float32 factors on blue, green, red; their luminance is 1.
        saturation: 0 in a grey photograph, 1 in one in colour.
        direction: (3,) unit vector to the light: the face's `right`, its `down`, towards the camera.
        slope: (2,) relative change of the light per `unit` along `right` and `down`.
        patches: (h, w) float32 small map of the smooth rest: shadows and bright spots, near 1.
        area_xyxy: where in the image `patches` lies, pixels.
    """

    exposure: float
    tint: npt.NDArray[np.float32]
    saturation: float
    direction: FloatArray
    slope: FloatArray
    patches: Field
    area_xyxy: tuple[int, int, int, int]


def read_light(image_bgr: ImageBgr, landmarks: FloatArray, frame: FaceFrame) -> Light:
    """Return the light on a face, of which at least a part lies in the image.

    Args:
        image_bgr: (H, W, 3) uint8 without a mask on this face.
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame: the same face's axes.
    """
    height, width = image_bgr.shape[:2]
    x1, y1 = np.clip(np.floor(landmarks.min(axis=0)), 0, (width - 1, height - 1)).astype(int).tolist()
    x2, y2 = (
        np.clip(np.ceil(landmarks.max(axis=0)) + 1, (x1 + 1, y1 + 1), (width, height)).astype(int).tolist()
    )
    shrink = min(1.0, SAMPLES / max(x2 - x1, y2 - y1))
    size_wh = max(1, round((x2 - x1) * shrink)), max(1, round((y2 - y1) * shrink))
    small = cv2.resize(image_bgr[y1:y2, x1:x2], size_wh, interpolation=cv2.INTER_AREA).astype(np.float32)
    to_image = np.array([(x2 - x1) / size_wh[0], (y2 - y1) / size_wh[1]])
    skin = _skin(landmarks, to_image, (x1, y1), size_wh)
    luma = small @ LUMA
    typical = max(rank(luma[skin], 0.5), 4.0)
    slope = _slope(luma, skin, typical, frame, to_image, (x1, y1))
    away = _places(size_wh, to_image, (x1, y1))
    plane = _plane(frame, slope, away)
    weight = skin.astype(np.float32)
    blur = max(1.0, 0.16 * max(size_wh))
    smooth = cv2.GaussianBlur(luma / plane * weight, (0, 0), blur) / np.maximum(
        cv2.GaussianBlur(weight, (0, 0), blur), 1e-3
    )
    patches = np.clip(smooth / typical, 0.6, 1.5).astype(np.float32) ** np.float32(0.35)
    saturation = _saturation(small)
    return Light(
        exposure=_exposure(luma, typical),
        tint=_tint(small[skin], saturation),
        saturation=saturation,
        direction=_direction(slope),
        slope=slope,
        patches=patches,
        area_xyxy=(x1, y1, x2, y2),
    )


def light_fabric(fabric: Fabric, mesh: Mesh, light: Light) -> npt.NDArray[np.float32]:
    """Return the (h, w, 3) float32 fabric in the light of the face, 0..255 and a little beyond."""
    height, width = fabric.height.shape
    # Around the head the mask turns away from the light; the middle of a frontal mask keeps its colour.
    facing = np.clip(mesh.normals @ light.direction, 0, None) / light.direction[2]
    shade = np.asarray(
        cv2.resize(facing.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )
    shade = np.float32(AMBIENT) + np.float32(1 - AMBIENT) * shade
    # Folds: the relief is in hundredths of the mask's height, and the sheet 1.6 times as wide.
    slope_u = cv2.Sobel(fabric.height, cv2.CV_32F, 1, 0, scale=0.01 * width / 1.6 / 8)
    slope_v = cv2.Sobel(fabric.height, cv2.CV_32F, 0, 1, scale=0.01 * height / 8)
    to_right, to_below = float(light.direction[0]), float(light.direction[1])
    folds = -(to_right * slope_u + to_below * slope_v)
    shade *= fabric.gloss * np.clip(1 + 0.8 * folds, 0.6, 1.25)
    grey: Field = (fabric.albedo @ LUMA)[..., None]
    lit = grey + np.float32(light.saturation) * (fabric.albedo - grey)
    lit *= light.tint * np.float32(light.exposure)
    lit *= shade[..., None]
    return lit


def light_map(light: Light, frame: FaceFrame, origin_xy: tuple[int, int], size_wh: tuple[int, int]) -> Field:
    """Return the (h, w) float32 factors of the light across a window of the image."""
    x1, y1, x2, y2 = light.area_xyxy
    rows, columns = light.patches.shape
    # Beyond the face the last patch goes on, and the plane stays within what `_plane` allows.
    x = (np.arange(size_wh[0], dtype=np.float32) + origin_xy[0] - x1 + 0.5) * columns / (x2 - x1) - 0.5
    y = (np.arange(size_wh[1], dtype=np.float32) + origin_xy[1] - y1 + 0.5) * rows / (y2 - y1) - 0.5
    map_x, map_y = np.meshgrid(x, y)
    patches = cv2.remap(light.patches, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    away = _places(size_wh, np.ones(2), origin_xy)
    factors: Field = (patches * _plane(frame, light.slope, away)).astype(np.float32)
    return factors


def _places(
    size_wh: tuple[int, int], step: FloatArray, origin_xy: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Return (1, w) x and (h, 1) y in the image of the centres of a grid of pixels."""
    x = (np.arange(size_wh[0], dtype=np.float32) + 0.5) * step[0] - 0.5 + origin_xy[0]
    y = (np.arange(size_wh[1], dtype=np.float32) + 0.5) * step[1] - 0.5 + origin_xy[1]
    return x[None, :], y[:, None]


def _plane(frame: FaceFrame, slope: FloatArray, places: tuple[FloatArray, FloatArray]) -> Field:
    """Return the (h, w) even change of light over a face, 1 between nose and mouth, 0.5..1.6."""
    vector = (slope[0] * frame.right + slope[1] * frame.down) / frame.unit
    centre = (frame.eyes + frame.mouth) / 2
    x, y = places
    plane: Field = np.clip(
        (1 + vector[0] * (x - centre[0]) + vector[1] * (y - centre[1])).astype(np.float32), 0.5, 1.6
    )
    return plane


def _skin(
    landmarks: FloatArray, step: FloatArray, origin_xy: tuple[int, int], size_wh: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return the (h, w) pixels of the small copy between brows and jaw; all where that leaves none."""
    outline = (landmarks[[*range(17), *range(26, 16, -1)]] - origin_xy + 0.5) / step - 0.5
    inside = np.zeros((size_wh[1], size_wh[0]), dtype=np.uint8)
    middle = outline.mean(axis=0)
    # A little smaller, so that hair and background at the silhouette stay out.
    cv2.fillPoly(
        inside, [np.round((middle + 0.92 * (outline - middle)) * 16).astype(np.int32)], 1, cv2.LINE_8, 4
    )
    return inside > 0 if inside.any() else np.ones_like(inside, dtype=bool)


def _slope(
    luma: Field,
    skin: npt.NDArray[np.bool_],
    typical: float,
    frame: FaceFrame,
    step: FloatArray,
    origin_xy: tuple[int, int],
) -> FloatArray:
    """Return (2,) the relative change of the skin's light per `unit` along the face's `right` and `down`."""
    x, y = np.broadcast_arrays(*_places(luma.shape[::-1], step, origin_xy))
    points = np.stack([x[skin], y[skin]], axis=-1)
    values = luma[skin] / typical
    # Eyes, brows, beard and glasses are dark, teeth and glints bright: neither tells of the light.
    keep = (values > rank(values, 0.15)) & (values < rank(values, 0.97))
    if keep.sum() < 12:
        return np.zeros(2)
    places = np.stack([np.ones(keep.sum()), frame.across(points[keep]), frame.along(points[keep])], axis=-1)
    places[:, 1:] /= frame.unit
    # The ridge keeps a face of few pixels, or half out of the picture, from inventing a light.
    system = places.T @ places + np.diag([0.0, 0.02, 0.02]) * len(places)
    fit = np.linalg.solve(system, places.T @ np.clip(values[keep], 0.2, 2.0))
    # Chins carry beards and shadows: half of the change downwards is believed.
    slope: FloatArray = np.clip(fit[1:] / max(fit[0], 0.2) * np.array([1.0, 0.5]), -0.6, 0.6)
    return slope


def _direction(slope: FloatArray) -> FloatArray:
    """Return the unit vector to the light; without any slope it comes from above."""
    vector = np.array([1.5 * slope[0], 1.2 * slope[1] - 0.45, 1.0])
    direction: FloatArray = vector / np.linalg.norm(vector)
    return direction


def _exposure(luma: Field, typical: float) -> float:
    """Return how bright the photograph is: 1 well exposed, less in the dark.

    Skin alone would darken the mask of a dark face, the brightest spots alone believe in a lamp behind it.
    """
    white = rank(luma, 0.97)
    exposure = 0.45 * typical / GOOD_SKIN + 0.55 * white / GOOD_WHITE
    return float(np.clip(exposure**0.85, 0.08, 1.12))


def _saturation(small_bgr: npt.NDArray[np.float32]) -> float:
    """Return 0 for a picture in grey, 1 for one in colour."""
    most, least = small_bgr.max(axis=2), small_bgr.min(axis=2)
    colorful = float((most - least).mean() / max(float(most.mean()), 1.0))
    # JPEG leaves up to 0.02 in a grey picture; faces in colour have 0.15 and more.
    return float(np.clip((colorful - 0.02) / 0.08, 0, 1))


def _tint(skin_bgr: npt.NDArray[np.float32], saturation: float) -> npt.NDArray[np.float32]:
    """Return (3,) factors that carry a part of the light's colour on to the mask."""
    mean = np.maximum(skin_bgr.mean(axis=0), 2.0)
    cast = mean / float(mean @ LUMA) / SKIN_TINT
    tint = 1 + np.float32(0.5 * saturation) * np.clip(cast - 1, -0.3, 0.3)
    normalised: npt.NDArray[np.float32] = (
        (tint / (tint @ LUMA)).astype(np.float32) if saturation > 0 else np.ones(3, np.float32)
    )
    return normalised
