"""How real a drawn mask is, as far as figures tell without a detector: geometry, light, seam, stray paint."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, GrayImage, ImageBgr

Luma = npt.NDArray[np.float32]
# The eye-aligned frame: its side, and where the eyes lie in it; the definitions are those of issue 4.
SIDE = 128
EYES = np.array([[44.0, 50.0], [84.0, 50.0]])
# Bands of the frame, rows: the forehead between hair and brows, the skin between eyes and mask.
FOREHEAD, UNDER_EYES = slice(18, 36), slice(57, 63)
# Columns of the frame on the left half of the face; the right half is their mirror image.
HALF = slice(40, 62)
# Columns of the cheeks, and the rows between which their edge is looked for.
CHEEKS = (*range(40, 54), *range(75, 89))
CHEEK_ROWS = slice(54, 96)
# Change of a pixel that counts as paint, and the part of the inter-ocular distance allowed at the chin.
PAINT_LEVELS, CHIN_SHARE = 24, 0.05


def covers_as_worn(alpha: GrayImage, points68: FloatArray) -> tuple[bool, bool]:
    """Return whether nose tip, whole mouth and chin are covered, and whether both eyes are free.

    Args:
        alpha: (H, W) uint8, how far the mask covers the image.
        points68: (68, 2) true landmarks, pixels.
    """
    eyes = _eyes(points68)
    apart = float(np.hypot(*(eyes[1] - eyes[0])))
    lips = points68[48:68].mean(axis=0)
    up = (lips - points68[8]) / max(float(np.hypot(*(lips - points68[8]))), 1e-6)
    chin = points68[8] + CHIN_SHARE * apart * up
    covered = _at(alpha, np.concatenate([points68[[30]], points68[48:68], chin[None]])) >= 128
    free = _at(alpha, points68[36:48]) < 128
    return bool(covered.all()), bool(free.all())


def aligned(image: npt.NDArray[np.uint8], points68: FloatArray) -> npt.NDArray[np.uint8]:
    """Return an image in the eye-aligned frame, (128, 128) or (128, 128, 3) uint8."""
    eyes = _eyes(points68)
    across = eyes[1] - eyes[0]
    scale = (EYES[1, 0] - EYES[0, 0]) / max(float(np.hypot(*across)), 1e-6)
    angle = -np.arctan2(across[1], across[0])
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    matrix = np.column_stack([turn, EYES.mean(axis=0) - turn @ eyes.mean(axis=0)])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=how), np.uint8)


def asymmetry(luma: Luma, where: npt.NDArray[np.bool_]) -> float | None:
    """Return (L - R) / (L + R) of the mean luminance of both halves of the frame, None where one is empty.

    Args:
        luma: (128, 128) of the aligned frame.
        where: (128, 128), the pixels that count.
    """
    columns = np.arange(SIDE) < SIDE // 2
    left, right = luma[where & columns], luma[where & ~columns]
    if min(left.size, right.size) < 20:
        return None
    means = float(left.mean()), float(right.mean())
    return (means[0] - means[1]) / max(sum(means), 1.0)


def light_pair(
    masked_bgr: ImageBgr, alpha: GrayImage, points68: FloatArray, *, without_hair: bool = False
) -> tuple[float, float] | None:
    """Return the asymmetry of the upper face's light and of the mask's core, None where one cannot be seen."""
    luma = _luma(aligned(masked_bgr, points68))
    cover = aligned(alpha, points68)
    upper, core = np.zeros((2, SIDE, SIDE), dtype=bool)
    for columns in (HALF, slice(SIDE - HALF.stop, SIDE - HALF.start)):
        upper[FOREHEAD, columns] = True
        upper[UNDER_EYES, columns] = True
        core[:, columns] = True
    core &= cv2.erode(cover, np.ones((9, 9), np.uint8)) >= 250
    upper &= cover < 8
    if without_hair and upper.any():
        # Hair over the forehead is no sign of a lamp: what is darker than half of the band's middle is left out.
        upper &= luma > 0.6 * float(np.median(luma[upper]))
    face, mask = asymmetry(luma, upper), asymmetry(luma, core)
    return None if face is None or mask is None else (face, mask)


def seam_width(image_bgr: ImageBgr, points68: FloatArray) -> float | None:
    """Return the median 10-90 % width of the strongest vertical edges of the cheek columns, frame pixels."""
    luma = _luma(aligned(image_bgr, points68))[CHEEK_ROWS]
    widths = [width for column in CHEEKS if (width := _edge_width(luma[:, column])) is not None]
    return float(np.median(widths)) if widths else None


def stray_pixels(
    before_bgr: ImageBgr, after_bgr: ImageBgr, limit_xyxy: tuple[float, float, float, float]
) -> int:
    """Return how many pixels outside the box changed by more than `PAINT_LEVELS`."""
    changed = np.abs(after_bgr.astype(np.int16) - before_bgr).max(axis=2) > PAINT_LEVELS
    x1, y1, x2, y2 = limit_xyxy
    y, x = np.nonzero(changed)
    return int(((x < x1) | (x >= x2) | (y < y1) | (y >= y2)).sum())


def slope(pairs: list[tuple[float, float]]) -> float:
    """Return the slope of the least-squares line through pairs of x, y."""
    x, y = np.array(pairs).T
    return float(np.polyfit(x, y, 1)[0])


def _edge_width(column: Luma) -> float | None:
    """Return the 10-90 % width of a column's strongest edge; None where it is fainter than 12 levels."""
    steps = np.diff(column)
    peak = int(np.abs(steps).argmax())
    rising = steps * np.sign(steps[peak]) > 0.04 * abs(steps[peak])
    first, last = peak, peak
    while first > 0 and rising[first - 1]:
        first -= 1
    while last + 1 < len(steps) and rising[last + 1]:
        last += 1
    edge = column[first : last + 2]
    height = edge[-1] - edge[0]
    if abs(height) < 12:
        return None
    share = (edge - edge[0]) / height
    at = np.interp([0.1, 0.9], share, np.arange(len(edge)))
    return float(at[1] - at[0])


def _luma(image_bgr: npt.NDArray[np.uint8]) -> Luma:
    return np.asarray(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY), np.float32)


def _eyes(points68: FloatArray) -> FloatArray:
    return np.stack([points68[36:42].mean(axis=0), points68[42:48].mean(axis=0)])


def _at(alpha: GrayImage, points: FloatArray) -> GrayImage:
    """Return the cover at points; those outside the image count as covered by nothing."""
    x, y = np.round(points).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < alpha.shape[1]) & (y < alpha.shape[0])
    found = np.zeros(len(points), dtype=np.uint8)
    found[inside] = alpha[y[inside], x[inside]]
    return found
