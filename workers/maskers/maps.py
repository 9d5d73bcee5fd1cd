"""The region of a map, and the way from the image to it and back.

The region is the face's `buffalo` square (spec/pipeline.md, Faces and crops), grown about its centre where
that is needed. Matrices take pixels whose centres are whole numbers, as `cv2.warpAffine` has them: halving a
picture of 256 pixels by area takes x to x / 2 - 1 / 4.
"""

from __future__ import annotations

import zlib

import cv2
import numpy as np

from common.arrays import FloatArray, GrayImage
from common.ledger.maps import FaceMap
from workers.crops import matrix_for
from workers.geometry import Matrix

SIDE = 128
"""Side of a stored map, pixels (spec/media-and-identity.md, 4)."""
FACE_SIDE = 256
"""Side of the aligned face that previews show, pixels (the same)."""
_ZLIB_LEVEL = 6


def face_matrix(points5: FloatArray) -> Matrix:
    """The transform from the image to the aligned face of 256 pixels.

    Args:
        points5: (5, 2), image pixels.

    Raises:
        ValueError: points that coincide or are not finite.
    """
    return matrix_for("buffalo", points5, np.empty((0, 2)), FACE_SIDE)


def region_matrix(face: Matrix, side: int, grow: float = 1.0, *, face_side: int = FACE_SIDE) -> Matrix:
    """The transform from the image to a square picture of the region.

    Args:
        face: image to a picture of the face, such as from `face_matrix`.
        side: of the picture, pixels.
        grow: side of the region in sides of the face's picture, same centre.
        face_side: of the face's picture, pixels.
    """
    factor = side / (face_side * grow)
    matrix = face * factor
    # Centre to centre: (256 - 1) / 2 goes to (side - 1) / 2.
    matrix[:, 2] += (side - 1) / 2 - factor * (face_side - 1) / 2
    return matrix


def shrink(picture: GrayImage, side: int = SIDE) -> GrayImage:
    """A square map at another side: by area when it shrinks, linear when it grows."""
    if picture.shape == (side, side):
        return picture
    how = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (side, side), interpolation=how), np.uint8)


def pack(face_id: int, picture: GrayImage, matrix: Matrix) -> FaceMap:
    """A map as it is stored.

    Args:
        picture: (128, 128) uint8.
        matrix: (2, 3), image to map.
    """
    packed = zlib.compress(np.ascontiguousarray(picture).tobytes(), _ZLIB_LEVEL)
    return FaceMap(face_id, picture.shape[0], packed, matrix.round(9).tolist())


def unpack(stored: FaceMap) -> tuple[GrayImage, Matrix]:
    """(map, matrix) of a stored map.

    Raises:
        ValueError: its bytes are no map of its side.
    """
    try:
        values = np.frombuffer(zlib.decompress(stored.map), np.uint8)
        picture = values.reshape(stored.side, stored.side)
        matrix = np.asarray(stored.matrix, np.float64).reshape(2, 3)
    except (zlib.error, ValueError) as exc:
        raise ValueError(f"the map of face {stored.face_id} cannot be unpacked: {exc}") from exc
    return picture, matrix


def project_back(picture: GrayImage, matrix: Matrix, size_wh: tuple[int, int]) -> GrayImage:
    """A map laid over the whole image, linear between its pixels; 0 outside its region.

    Args:
        picture: (N, N) uint8.
        matrix: (2, 3), image to map.
        size_wh: of the upright image, pixels.

    Returns:
        (H, W) uint8.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, size_wh, flags=flags), np.uint8)
