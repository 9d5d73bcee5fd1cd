"""Pictures that show a map: face, masked face and map side by side."""

from __future__ import annotations

import cv2
import numpy as np

from common.arrays import GrayImage, ImageBgr
from workers.geometry import Matrix
from workers.maskers.maps import region_matrix

_WHITE = 255


def sharpened(picture: GrayImage, threshold: int, blur_kernel: int) -> GrayImage:
    """A map as previews show it: cut off at both ends, then blurred (spec, 4).

    Args:
        picture: (128, 128) uint8; stays as it is.
        threshold: t of T = 2.55 t, 0 to 50: values below T become 0, those above 255 - T become 255.
        blur_kernel: pixels, an even one is enlarged by one; 0: none.

    Returns:
        A new array of the same shape.
    """
    limit = threshold * 2.55
    shown = picture.copy()
    shown[picture < limit] = 0
    shown[picture > 255 - limit] = 255
    if blur_kernel:
        size = blur_kernel + 1 - blur_kernel % 2
        shown = np.asarray(cv2.GaussianBlur(shown, (size, size), 0), np.uint8)
    return shown


def on_face(picture: GrayImage, matrix: Matrix, face: Matrix, side: int) -> GrayImage:
    """A map brought to a picture of the face, cubic.

    Args:
        picture: (N, N) uint8.
        matrix: image to map.
        face: image to the face's picture.
        side: of the face's picture, pixels.

    Returns:
        (side, side) uint8.
    """
    if np.allclose(matrix, region_matrix(face, picture.shape[0], face_side=side), atol=1e-6):
        return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)
    # The map's region is not the face's square: map to image to face.
    whole = np.vstack([matrix, (0.0, 0.0, 1.0)])
    to_face = face @ np.linalg.inv(whole)
    return np.asarray(cv2.warpAffine(picture, to_face, (side, side), flags=cv2.INTER_CUBIC), np.uint8)


def preview(face_bgr: ImageBgr, shown: GrayImage) -> ImageBgr:
    """Face, masked face and map side by side, each with a white border of one pixel.

    Args:
        face_bgr: (S, S, 3) uint8; stays as it is.
        shown: (S, S) uint8.

    Returns:
        (S, 3 S, 3) uint8; masked is the floor of face * map / 255.
    """
    masked = (face_bgr.astype(np.uint16) * shown[..., None] // 255).astype(np.uint8)
    tiles = [face_bgr.copy(), masked, np.repeat(shown[..., None], 3, axis=2)]
    for tile in tiles:
        tile[0, :] = tile[-1, :] = _WHITE
        tile[:, 0] = tile[:, -1] = _WHITE
    return np.concatenate(tiles, axis=1)
