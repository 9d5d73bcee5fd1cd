"""How sharp and how noisy a photograph is at a face."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from common.arrays import FloatArray, ImageBgr
from workers.masks.frame import FaceFrame
from workers.masks.ranks import rank

# Most pixels that are looked at along a side: the eyes of a large face are enough.
WINDOW = 76
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Optics:
    """Sharpness and noise at a face.

    Attributes:
        blur_px: sigma of the blur of the sharpest edges around the eyes, pixels.
        noise: spread of the luminance noise, 0..255.
    """

    blur_px: float
    noise: float


def read_optics(image_bgr: ImageBgr, frame: FaceFrame) -> Optics:
    """Return the optics at a face, of which at least a part lies in the image."""
    height, width = image_bgr.shape[:2]
    half = min(WINDOW // 2, max(6, round(1.1 * frame.unit)))
    eye_x, eye_y = frame.eyes.tolist()
    x, y = min(max(round(eye_x), 0), width - 1), min(max(round(eye_y), 0), height - 1)
    crop = image_bgr[max(0, y - half) : y + half, max(0, x - half) : x + half]
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return Optics(_blur(grey), _noise(grey))


def _blur(grey: FloatArray) -> float:
    """Return the sigma of the sharpest edges, 0.3..6 pixels.

    Zhuo & Sim, "Defocus map estimation from a single image" (2011): blurring an edge of sigma s once more by
    s0 lowers its steepest gradient by R = sqrt(s^2 + s0^2) / s, so s = s0 / sqrt(R^2 - 1). The 0.6 or so that
    the gradient itself blurs stay in: noise, which looks sharp, takes about as much away.
    """
    again = 1.5
    before, after = _steepness(grey), _steepness(np.asarray(cv2.GaussianBlur(grey, (0, 0), again)))
    steep = before >= max(rank(before, 0.97), 1.0)
    steepest = before[steep]
    if not len(steepest):
        return 1.0
    squared = rank(steepest / np.maximum(after[steep], 1e-6), 0.5)
    return min(max(again / math.sqrt(max(squared - 1, 1e-3)), 0.3), 6.0)


def _steepness(grey: FloatArray) -> FloatArray:
    """Return the (h, w) squared length of the gradient.

    Not by `cv2.magnitude`, whose root nobody needs: in OpenCV 5.0.0 its last bits depend on where in memory its answer
    comes to lie, and with them, in one picture of some hundred, the mask's pixels.
    """
    along, down = (np.asarray(cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx), np.float32) for dx in (1, 0))
    along *= along
    down *= down
    along += down
    return along


def _noise(grey: FloatArray) -> float:
    """Return the spread of the noise, 0..6, from the finest detail of the flatter pixels.

    Immerkaer, "Fast noise variance estimation" (1996): the kernel is blind to plains and slopes, and
    multiplies white noise by 6.
    """
    detail = np.asarray(cv2.filter2D(grey, cv2.CV_32F, _IMMERKAER), np.float32)
    np.abs(detail, out=detail)
    # 0.6745 is the median of |N(0, 1)|; the lower quartile, 0.3186, is deaf to lashes and hair.
    return float(min(rank(detail, 0.25) / 0.3186 / 6, 6.0))
