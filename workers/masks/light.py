"""The light on a face, read from its skin, and what it does to a mask."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from workers.masks.frame import FaceFrame
from workers.masks.harmonics import fit_terms, head_normals, terms
from workers.masks.planes import blurred, within
from workers.masks.pose import Pose
from workers.masks.ranks import place_of
from workers.masks.sides import read_asymmetry

Field = npt.NDArray[np.float32]
# Pixels along the longer side of the small copy that the light is read from, and how much forehead above the
# brows it shows, in units.
SAMPLES, FOREHEAD = 24, 0.5
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
_OUTLINE = [*range(17), *range(26, 16, -1)]
# Part of the skin's smooth shadows and bright spots that goes over to the mask.
PATCH_POWER = 0.75


# Unit normals of the left flank, the ridge and the right flank of a mask.
_FLANKS = np.array([[-0.55, -0.10, 0.83], [0.0, -0.20, 0.98], [0.55, -0.10, 0.83]])
_FLANK_TERMS = terms(_FLANKS).mean(axis=0)


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
        patches: (h, w) float32 small map of the smooth rest: shadows and bright spots, near 1.
        skin: (h, w) float32 small map of all the light on the skin, smooth, typical skin 1.
        area_xyxy: where in the image both maps lie, pixels.
    """

    exposure: float
    tint: npt.NDArray[np.float32]
    saturation: float
    harmonics: FloatArray
    asymmetry: float
    patches: Field
    skin: Field
    area_xyxy: tuple[int, int, int, int]

    @property
    def level(self) -> np.float32:
        """What the middle and the flanks of a mask get on average on a head that faces the camera."""
        return np.float32(max(float(_FLANK_TERMS @ self.harmonics), 0.3))

    @property
    def direction(self) -> FloatArray:
        """(3,) unit vector to where most light comes from; towards the camera where it has no side."""
        x, y, z = self.harmonics[1:4].tolist()
        vector = np.array([x, y + FROM_ABOVE, max(z, 0.0) + 0.25])
        direction: FloatArray = vector / math.sqrt(vector @ vector)
        return direction

    def patches_at(self, points: FloatArray) -> Field:
        """Return (…,) patches at (…, 2) places in the image; beyond the face the last patch goes on."""
        return _at(self.patches, points, self.area_xyxy)

    def skin_at(self, points: FloatArray) -> Field:
        """Return (…,) light on the skin at (…, 2) places in the image."""
        return _at(self.skin, points, self.area_xyxy)


def _at(small: Field, points: FloatArray, area_xyxy: tuple[int, int, int, int]) -> Field:
    x1, y1, x2, y2 = area_xyxy
    rows, columns = small.shape
    x = (points[..., 0] + (0.5 - x1)) * (columns / (x2 - x1))
    y = (points[..., 1] + (0.5 - y1)) * (rows / (y2 - y1))
    found: Field = small[
        within(y, 0, rows - 1, out=y).astype(np.intp), within(x, 0, columns - 1, out=x).astype(np.intp)
    ]
    return found


def read_light(image_bgr: ImageBgr, landmarks: FloatArray, frame: FaceFrame, pose: Pose) -> Light:
    """Return the light on a face, of which at least a part lies in the image.

    Args:
        image_bgr: (H, W, 3) uint8 without a mask on this face.
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame, pose: the same face's axes and turn.
    """
    small, area = _small_copy(image_bgr, landmarks, frame)
    rows, columns = small.shape[:2]
    to_small = columns / (area[2] - area[0]), rows / (area[3] - area[1])
    skin = _skin(landmarks, to_small, area[:2], (columns, rows))
    luma = np.asarray(cv2.transform(small, LUMA[None]), np.float32)
    across, along = _places(frame, to_small, area[:2], (columns, rows))
    there = np.flatnonzero(skin)
    bare, below = luma.reshape(-1)[there], along.reshape(-1)[there]
    ordered = np.sort(bare)
    typical = max(float(ordered[place_of(0.5, len(ordered))]), 4.0)
    normals, seen = head_normals(across.reshape(-1)[there], below, pose.turn())
    # Below the nose beards and open mouths darken the skin: the upper face is believed more.
    trust: FloatArray = np.where(below < 0.65, 1.0, 0.35) * seen
    system = terms(normals)
    harmonics = fit_terms(
        system, bare.astype(np.float64) / typical, trust, ordered.astype(np.float64) / typical
    )
    fitted = harmonics @ system.T
    planes = np.zeros((rows, columns, 3), np.float32)
    planes[..., 0] = skin
    np.multiply(luma, skin, out=planes[..., 1])
    planes.reshape(-1, 3)[there, 2] = bare / within(fitted, 0.2, 2.0, out=fitted)
    maps = blurred(planes, max(1.0, 0.12 * max(rows, columns)))
    share = np.maximum(maps[..., 0], 1e-3)
    share *= np.float32(typical)
    all_light = np.asarray(maps[..., 1] / share, np.float32)
    rest = np.asarray(maps[..., 2] / share, np.float32)
    harmonics[2] += FROM_ABOVE
    saturation = _saturation(small)
    return Light(
        exposure=_exposure(float(ordered[place_of(0.97, len(ordered))]), typical),
        tint=_tint(cv2.mean(small, skin.view(np.uint8))[:3], saturation),
        saturation=saturation,
        harmonics=harmonics,
        asymmetry=read_asymmetry(luma, skin, across, along),
        patches=np.asarray(within(rest, 0.5, 1.6, out=rest) ** np.float32(PATCH_POWER), np.float32),
        skin=within(all_light, 0.3, 1.5, out=all_light),
        area_xyxy=area,
    )


def _small_copy(
    image_bgr: ImageBgr, landmarks: FloatArray, frame: FaceFrame
) -> tuple[npt.NDArray[np.float32], tuple[int, int, int, int]]:
    """Return a float32 copy of face and forehead, at most `SAMPLES` a side, and the pixels it shows."""
    height, width = image_bgr.shape[:2]
    forehead = landmarks[17:27] - FOREHEAD * frame.unit * frame.down
    x, y = np.concatenate([landmarks, forehead]).T.tolist()
    left, top, right, bottom = min(x), min(y), max(x), max(y)
    x1, y1 = min(max(math.floor(left), 0), width - 1), min(max(math.floor(top), 0), height - 1)
    x2, y2 = min(max(math.ceil(right) + 1, x1 + 1), width), min(max(math.ceil(bottom) + 1, y1 + 1), height)
    shrink = min(1.0, SAMPLES / max(x2 - x1, y2 - y1))
    size_wh = max(1, round((x2 - x1) * shrink)), max(1, round((y2 - y1) * shrink))
    # Of a large face every n-th pixel is enough, three to a pixel of the copy each way.
    step = max(1, max(x2 - x1, y2 - y1) // (3 * SAMPLES))
    small = cv2.resize(image_bgr[y1:y2:step, x1:x2:step], size_wh, interpolation=cv2.INTER_AREA)
    return small.astype(np.float32), (x1, y1, x2, y2)


def _places(
    frame: FaceFrame, to_small: tuple[float, float], origin_xy: tuple[int, int], size_wh: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Return (h, w) how far right of and below the eyes the small copy's pixels lie, in units."""
    eye_x, eye_y = frame.eyes.tolist()
    x = np.arange(size_wh[0]) * (1 / to_small[0] / frame.unit)
    x += (0.5 / to_small[0] - 0.5 + origin_xy[0] - eye_x) / frame.unit
    y = np.arange(size_wh[1])[:, None] * (1 / to_small[1] / frame.unit)
    y += (0.5 / to_small[1] - 0.5 + origin_xy[1] - eye_y) / frame.unit
    (rx, ry), (dx, dy) = frame.right.tolist(), frame.down.tolist()
    return rx * x + ry * y, dx * x + dy * y


def _skin(
    landmarks: FloatArray, to_small: tuple[float, float], origin_xy: tuple[int, int], size_wh: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return the (h, w) pixels of the small copy between brows and jaw; all where that leaves none."""
    outline = landmarks[_OUTLINE] - origin_xy
    outline += 0.5
    outline *= to_small
    outline -= 0.5
    middle = outline.sum(axis=0) / len(outline)
    # A little smaller, so that hair and background at the silhouette stay out.
    outline -= middle
    outline *= 0.92
    outline += middle
    outline *= 16
    inside = np.zeros((size_wh[1], size_wh[0]), dtype=np.uint8)
    cv2.fillPoly(inside, [np.rint(outline, out=outline).astype(np.int32)], 1, cv2.LINE_8, 4)
    return inside.view(np.bool_) if inside.any() else np.ones_like(inside, dtype=bool)


def _exposure(white: float, typical: float) -> float:
    """Return how bright the photograph is, 1 well exposed, less in the dark, by its brightest and its typical skin.

    Skin alone would darken the mask of a dark face, the brightest spots alone believe in a lamp behind it.
    """
    exposure = 0.45 * typical / GOOD_SKIN + 0.55 * white / GOOD_WHITE
    # Cameras lift what is a little dark, and leave the night dark.
    return min(max(4.1 * exposure / (2.6 + exposure), 0.06), 1.25)


def _saturation(small_bgr: npt.NDArray[np.float32]) -> float:
    """Return 0 for a picture in grey, 1 for one in colour."""
    blue, green, red = cv2.split(small_bgr)
    most, least = cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red)
    brightest = float(most.sum())
    colorful = (brightest - float(least.sum())) / max(brightest, float(most.size))
    # JPEG leaves up to 0.02 in a grey picture; faces in colour have 0.15 and more.
    return min(max((colorful - 0.02) / 0.08, 0.0), 1.0)


def _tint(skin_bgr: Sequence[float], saturation: float) -> npt.NDArray[np.float32]:
    """Return (3,) factors that carry a part of the light's colour on to the mask."""
    if saturation <= 0:
        return np.ones(3, np.float32)
    mean = [max(level, 2.0) for level in skin_bgr]
    grey = _grey(mean)
    cast = [level / grey / skin for level, skin in zip(mean, SKIN_TINT.tolist(), strict=True)]
    # Small casts are the skin's own; a lamp's are large.
    largest = max(*(abs(one - 1) for one in cast), 1e-3)
    believed = 0.85 * max(0.0, 1 - SKIN_CAST / largest) * min(1.0, 0.45 / largest) * saturation
    tint = [1 + believed * (one - 1) for one in cast]
    grey = _grey(tint)
    return np.array([one / grey for one in tint], np.float32)


def _grey(bgr: Sequence[float]) -> float:
    """Return the luminance of a colour."""
    blue, green, red = LUMA.tolist()
    return float(blue * bgr[0] + green * bgr[1] + red * bgr[2])
