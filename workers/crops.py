"""The aligned cut-outs of a face: templates, the table of styles, and the cut itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import cv2
import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.styles import buffalo_scale
from workers.geometry import Matrix, fit_affine, fit_similarity, transform_points

Border: TypeAlias = Literal["black", "reflect"]

# ArcFace's five points at side 112, (x, y): left eye, right eye, nose, left mouth, right mouth as seen in
# the image (spec, `buffalo`).
ARCFACE_TEMPLATE_XY = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)

# OpenFace's inner eye corners (left, right in the image) and centre of the lower lip, (x, y) in sides of the
# crop (spec, `original_cropping` and `scale_shift`).
OPENFACE_TEMPLATE_XY = np.array(
    [
        [0.363784947, 0.177946862],
        [0.618963134, 0.172778126],
        [0.50020396, 0.750584384],
    ]
)


@dataclass(frozen=True)
class CropStyle:
    """One style on the OpenFace template, or `buffalo` on ArcFace's.

    Attributes:
        template: which points it is cut from.
        scale: size of the face against the template, about the centre (OpenFace only).
        shift_y: shift of the face downwards, in sides (OpenFace only).
        transform: `affine` is exact on three points, `similarity` least squares.
        border: what stands where the image has no pixels.
    """

    template: Literal["arcface", "openface"]
    scale: float
    shift_y: float
    transform: Literal["affine", "similarity"]
    border: Border


# The table of the spec, "Faces and crops".
STYLES: dict[str, CropStyle] = {
    "buffalo": CropStyle("arcface", 1.0, 0.0, "similarity", "black"),
    "original_cropping": CropStyle("openface", 1.0, 0.0, "affine", "black"),
    "scale_shift": CropStyle("openface", 0.85, -0.085, "similarity", "black"),
    "buffalo_loose": CropStyle("openface", 0.65, 0.16, "similarity", "reflect"),
}

_BORDERS = {"black": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT}
# warpAffine asserts that both sides of its source are below SHRT_MAX.
_WARP_LIMIT = 32766


def target_points(style: str, side: int) -> FloatArray:
    """Where the points of a style lie in its crop.

    Returns:
        (5, 2) for `buffalo`, (3, 2) for the others; (x, y) in pixels of the crop.

    Raises:
        UsageError: a side that `buffalo` does not have.
    """
    row = STYLES[style]
    if row.template == "arcface":
        scale, x_shift = buffalo_scale(side)
        return ARCFACE_TEMPLATE_XY * scale + (x_shift, 0.0)
    target: FloatArray = ((OPENFACE_TEMPLATE_XY - 0.5) * row.scale + 0.5 + (0.0, row.shift_y)) * side
    return target


_known_target_points = lru_cache(maxsize=64)(target_points)
"""The same few for every face."""


def matrix_for(style: str, points5: FloatArray, points3: FloatArray, side: int) -> Matrix:
    """Compute the transform from the image to the crop of one face.

    Args:
        style: one of `STYLES`.
        points5: (5, 2), (x, y) image pixels: eyes, nose, mouth corners; only `buffalo` reads them.
        points3: (3, 2), (x, y) image pixels: inner eye corners, lower lip; the others read them.
        side: side of the crop in pixels.

    Raises:
        KeyError: a name that is no style.
        UsageError: a side that `buffalo` does not have.
        ValueError: points that coincide, lie on one line (affine), are not finite or have another shape.
    """
    row = STYLES[style]
    target = _known_target_points(style, side)
    source = points5 if row.template == "arcface" else points3
    return fit_affine(source, target) if row.transform == "affine" else fit_similarity(source, target)


def crop(image_bgr: ImageBgr, matrix: Matrix, side: int, border: Border) -> ImageBgr:
    """Cut a square out of the image, bilinear.

    Args:
        image_bgr: (H, W, 3) uint8; an (H, W) uint8 alpha or map is cut the same way.
        matrix: (2, 3) float64 from image to crop, invertible.
        side: side of the result in pixels.
        border: what stands outside the image: `black`, or the image mirrored at its edge (edge pixel
            repeated).

    Returns:
        A new (side, side, 3) uint8 array, or (side, side) for a map.
    """
    if max(image_bgr.shape[:2]) > _WARP_LIMIT:
        image_bgr, matrix = _cut_to_reach(image_bgr, matrix, side, mirrored=border == "reflect")
        if image_bgr.size == 0:
            return np.zeros((side, side, *image_bgr.shape[2:]), np.uint8)
    warped = cv2.warpAffine(
        image_bgr, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=_BORDERS[border], borderValue=0
    )
    return np.asarray(warped, np.uint8)


def _cut_to_reach(
    image_bgr: ImageBgr, matrix: Matrix, side: int, *, mirrored: bool
) -> tuple[ImageBgr, Matrix]:
    """Cut a very long image to what a crop can see, with the parts it sees mirrored.

    Returns:
        A view of the image (empty when the crop lies outside), and the matrix from that view.
    """
    inverse = np.linalg.inv(matrix[:, :2])
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float64)
    reach = transform_points(np.column_stack([inverse, -inverse @ matrix[:, 2]]), corners)
    slices = []
    for axis, length in ((0, image_bgr.shape[1]), (1, image_bgr.shape[0])):
        low, high = int(np.floor(reach[:, axis].min())) - 2, int(np.ceil(reach[:, axis].max())) + 3
        if mirrored:  # n pixels over an edge show the n pixels inside that edge
            low, high = min(low, 2 * length - high), max(high, -low)
        slices.append(slice(min(max(low, 0), length), min(max(high, 0), length)))
    shift = matrix[:, :2] @ np.array([slices[0].start, slices[1].start], np.float64)
    return image_bgr[slices[1], slices[0]], np.column_stack([matrix[:, :2], matrix[:, 2] + shift])
