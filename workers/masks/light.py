"""The light on a face, read from its skin, and what it does to a mask."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, ImageBgr
from workers.masks.fabrics import Fabric
from workers.masks.frame import FaceFrame
from workers.masks.harmonics import fit_light, head_normals, shade
from workers.masks.mesh import Mesh
from workers.masks.pose import Pose
from workers.masks.ranks import rank

Field = npt.NDArray[np.float32]
# Pixels along the longer side of the small copy that the light is read from.
SAMPLES = 32
# BT.601 weights of blue, green, red.
LUMA = np.array([0.114, 0.587, 0.299], dtype=np.float32)
# Blue, green, red over luminance of well-lit skin: the median of the faces of ../shared/faces.
SKIN_TINT = np.array([0.78, 0.91, 1.26], dtype=np.float32)
# How far skins differ from that by themselves.
SKIN_CAST = 0.06
# Luminance of skin, and of the brightest things around it, in a well exposed photograph.
GOOD_SKIN, GOOD_WHITE = 140.0, 208.0
# How far light goes up and down from that on a surface that faces the camera, as a logarithm: what is
# thrown back from all around fills shadows, and the photographer exposes for the lit side.
REACH_UP, REACH_DOWN = np.float32(0.55), np.float32(1.3)
# Without any sign of where it comes from, light comes a little from above.
FROM_ABOVE = -0.10
# Steepest fold that is shaded, run over rise: the edge of a pleat would glitter.
STEEPEST = np.float32(0.6)
# Skin lets light through to its shaded side, fabric does not.
SIDE_GAIN = 2.7
# Part of the skin's smooth shadows and bright spots that goes over to the mask.
PATCH_POWER = 0.75


# Unit normals of the left flank, the ridge and the right flank of a mask, one a column.
_FLANKS = np.array([[-0.55, -0.10, 0.83], [0.0, -0.20, 0.98], [0.55, -0.10, 0.83]]).T


@dataclass(frozen=True, slots=True)
class Light:
    """The light on one face.

    Attributes:
        exposure: factor on what a fabric sends back in a well exposed photograph.
        tint: (3,) float32 factors on blue, green, red; their luminance is 1.
        saturation: 0 in a grey photograph, 1 in one in colour.
        harmonics: (9,) of `workers.masks.harmonics.terms`: the face's `right`, its `down`, towards the
            camera; typical skin gets about 1.
        patches: (h, w) float32 small map of the smooth rest: shadows and bright spots, near 1.
        skin: (h, w) float32 small map of all the light on the skin, smooth, typical skin 1.
        area_xyxy: where in the image both maps lie, pixels.
    """

    exposure: float
    tint: npt.NDArray[np.float32]
    saturation: float
    harmonics: FloatArray
    patches: Field
    skin: Field
    area_xyxy: tuple[int, int, int, int]

    @property
    def level(self) -> np.float32:
        """What the middle and the flanks of a mask get on average on a head that faces the camera."""
        return np.float32(max(float(shade(self.harmonics, *_FLANKS).mean()), 0.3))

    @property
    def direction(self) -> FloatArray:
        """(3,) unit vector to where most light comes from; towards the camera where it has no side."""
        x, y, z = self.harmonics[1:4].tolist()
        vector = np.array([x, y + FROM_ABOVE, max(z, 0.0) + 0.25])
        direction: FloatArray = vector / np.linalg.norm(vector)
        return direction


def read_light(image_bgr: ImageBgr, landmarks: FloatArray, frame: FaceFrame, pose: Pose) -> Light:
    """Return the light on a face, of which at least a part lies in the image.

    Args:
        image_bgr: (H, W, 3) uint8 without a mask on this face.
        landmarks: (68, 2) x, y in pixels, iBUG order.
        frame, pose: the same face's axes and turn.
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
    places = _places(size_wh, to_image, (x1, y1))
    across, along = frame.across(places) / frame.unit, frame.along(places) / frame.unit
    normals, there = head_normals(across.ravel(), along.ravel(), pose.turn())
    # Below the nose beards and open mouths darken the skin: the upper face is believed more.
    trust = np.where(along.ravel() < 0.65, 1.0, 0.35)
    used = skin.ravel() & there
    harmonics = fit_light(normals[used], (luma / typical).ravel()[used], trust[used])
    lit = np.clip(shade(harmonics, *normals.T), 0.2, 2.0).reshape(luma.shape)
    weight = skin.astype(np.float32)
    blur = max(1.0, 0.14 * max(size_wh))
    share = np.maximum(cv2.GaussianBlur(weight, (0, 0), blur), 1e-3)
    whole = cv2.GaussianBlur(luma * weight, (0, 0), blur) / share
    smooth = cv2.GaussianBlur((luma / lit).astype(np.float32) * weight, (0, 0), blur) / share
    harmonics[[1, 4, 5]] *= SIDE_GAIN
    harmonics[2] += FROM_ABOVE
    patches = np.clip(smooth / typical, 0.5, 1.6).astype(np.float32) ** np.float32(PATCH_POWER)
    saturation = _saturation(small)
    return Light(
        exposure=_exposure(luma[skin], typical),
        tint=_tint(small[skin], saturation),
        saturation=saturation,
        harmonics=harmonics,
        patches=patches,
        skin=np.clip(whole / typical, 0.3, 1.5).astype(np.float32),
        area_xyxy=(x1, y1, x2, y2),
    )


def light_fabric(fabric: Fabric, mesh: Mesh, light: Light) -> npt.NDArray[np.float32]:
    """Return the (h, w, 3) float32 fabric in the light of the face, 0..255 and a little beyond."""
    height, width = fabric.height.shape
    x, y, z = (
        np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        for part in np.moveaxis(mesh.normals.astype(np.float32), -1, 0)
    )
    # Folds tip the normal. The relief is in hundredths of the mask's height, and the sheet 1.6 times as wide.
    for part, dx, scale in ((x, 1, 0.01 * width / 1.6 / 8), (y, 0, 0.01 * height / 8)):
        slope = cv2.Sobel(fabric.height, cv2.CV_32F, dx, 1 - dx, scale=scale)
        part -= np.clip(slope, -STEEPEST, STEEPEST)
    length = np.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, np.maximum(z / length, 0)
    # A surface seen from its side is in the shade of its own threads.
    shaded = shade(light.harmonics, x, y, z) / light.level * (np.float32(0.80) + np.float32(0.20) * z)
    shaded = _within_reach(shaded) * fabric.gloss
    # One 3 x 3 matrix takes the saturation and gives the tint.
    keep = np.float32(light.saturation)
    mix = (keep * np.eye(3, dtype=np.float32) + (1 - keep) * LUMA) * (
        light.tint * np.float32(light.exposure)
    )[:, None]
    lit = np.asarray(cv2.transform(fabric.albedo, mix), np.float32)
    lit *= cv2.merge([shaded, shaded, shaded])
    if fabric.shine > 0:
        glint = _glint(light, x, y, z, fabric.shine)
        lit += cv2.merge([glint * factor for factor in light.tint])
    return lit


def _within_reach(shaded: Field) -> Field:
    """Return factors of light bent into e^-REACH_DOWN..e^REACH_UP; those near 1 stay."""
    level = np.asarray(cv2.log(np.maximum(shaded, np.float32(0.05))), np.float32)
    level /= np.sqrt(1 + (level / np.where(level > 0, REACH_UP, REACH_DOWN)) ** 2)
    return np.asarray(cv2.exp(level), np.float32)


def _glint(light: Light, x: Field, y: Field, z: Field, shine: float) -> Field:
    """Return the (h, w) highlight of a smooth fabric, levels: Blinn's half-way vector, the camera in front."""
    half = light.direction + np.array([0.0, 0.0, 1.0])
    half = (half / np.linalg.norm(half)).astype(np.float32)
    facing = np.maximum(half[0] * x + half[1] * y + half[2] * z, 0)
    sharp = facing * facing * facing
    sharp *= sharp
    glint: Field = np.float32(shine * light.exposure) * sharp * sharp
    return glint


def light_map(light: Light, small: Field, origin_xy: tuple[int, int], size_wh: tuple[int, int]) -> Field:
    """Return the (h, w) float32 factors of a light's small map across a window of the image."""
    x1, y1, x2, y2 = light.area_xyxy
    rows, columns = small.shape
    step_x, step_y = columns / (x2 - x1), rows / (y2 - y1)
    start_x = (origin_xy[0] - x1 + 0.5) * step_x - 0.5
    start_y = (origin_xy[1] - y1 + 0.5) * step_y - 0.5
    # Beyond the face the last patch goes on.
    return np.asarray(
        cv2.warpAffine(
            small,
            np.array([[step_x, 0.0, start_x], [0.0, step_y, start_y]]),
            size_wh,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def _places(size_wh: tuple[int, int], step: FloatArray, origin_xy: tuple[int, int]) -> FloatArray:
    """Return (h, w, 2) x, y in the image of the centres of a grid of pixels."""
    x = (np.arange(size_wh[0]) + 0.5) * step[0] - 0.5 + origin_xy[0]
    y = (np.arange(size_wh[1]) + 0.5) * step[1] - 0.5 + origin_xy[1]
    return np.stack(np.meshgrid(x, y), axis=-1)


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


def _exposure(luma: FloatArray, typical: float) -> float:
    """Return how bright the photograph is at skin of these (N,) luminances: 1 well exposed, less in the dark.

    Skin alone would darken the mask of a dark face, the brightest spots alone believe in a lamp behind it.
    """
    white = rank(luma, 0.97)
    exposure = 0.45 * typical / GOOD_SKIN + 0.55 * white / GOOD_WHITE
    # Cameras lift what is a little dark, and leave the night dark.
    return float(np.clip(4.1 * exposure / (2.6 + exposure), 0.06, 1.25))


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
    # Small casts are the skin's own; a lamp's are large.
    largest = max(float(np.abs(cast - 1).max()), 1e-3)
    believed = 0.85 * max(0.0, 1 - SKIN_CAST / largest) * min(1.0, 0.45 / largest)
    tint = 1 + np.float32(believed * saturation) * (cast - 1)
    normalised: npt.NDArray[np.float32] = (
        (tint / (tint @ LUMA)).astype(np.float32) if saturation > 0 else np.ones(3, np.float32)
    )
    return normalised
