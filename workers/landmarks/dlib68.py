"""The 68 points of dlib's shape predictor, started where a face's five points say.

The predictor moves its mean face from the square it is given towards the face in the picture. It was trained
on the squares of dlib's own detector; fed other boxes it ends in the wrong place, above all on turned faces.
Mean error on the 43 faces of the shared photographs, in % of the inter-ocular distance: CenterFace's boxes as
they are 6.5, squares moved and scaled from them 5.5, squares from the five points 3.0, a second pass 2.8.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.errors import UnfitError
from workers.landmarks.base import FacesOf, Landmarks, rounded
from workers.landmarks.kept_trees import open_trees
from workers.landmarks.normalization import Normalizer
from workers.landmarks.patches import FACE, MARGIN, cut_patch
from workers.landmarks.points import aside, five_points
from workers.landmarks.regression_trees import ShapePredictor
from workers.landmarks.squares import Square, fit_square, square_from_box, square_from_points

if TYPE_CHECKING:
    from workers.sessions import Provider

_TOGETHER = 64
"""Faces at a time: a cascade of trees, 4 MB, is read once for all of them (docs/decisions.md)."""
_SURE, _SURE_OF_TURNED = 0.07, 0.042
"""Where detector and predictor agree to this (mean distance of the five points, in sides of the square) a second
pass gains nothing; of turned faces it mends the worst errors at smaller distances too (docs/decisions.md)."""
_TURNED = 0.15
"""From this `aside` on a face is turned; of nine faces in ten it is below 0.29, of half below 0.11."""


_Start: TypeAlias = "tuple[ImageBgr, Square, FloatArray | None]"
"""The picture of a face, the square it is looked for in, and the detector's points, if the square follows from them."""


class Dlib68:
    """Landmarker over `shape_predictor_68_face_landmarks.dat`."""

    name = "dlib68"
    batch = _TOGETHER
    provider: Provider = "CPU"

    def __init__(self, predictor: ShapePredictor, normalize: Normalizer | None = None) -> None:
        """Take a predictor of 68 points, and what is done to the pixels it sees."""
        self._predictor = predictor
        self._normalize = normalize
        self._mean68 = _mean_face(predictor)
        self._mean5 = five_points(self._mean68)

    def find(self, image_bgr: ImageBgr, boxes_xyxy: FloatArray, points5: FloatArray | None) -> Landmarks:
        """Return the points of each face; arguments as in `Landmarker`."""
        return self.find_all([FacesOf(image_bgr, boxes_xyxy, points5)])[0]

    def find_all(self, images: Sequence[FacesOf]) -> list[Landmarks]:
        """Return the points of the faces of each image, worked out for some faces together, whichever images they are of."""
        starts = [start for one in images for start in self._starts(one)]
        found = np.zeros((len(starts), 68, 2))
        for at in range(0, len(starts), _TOGETHER):
            found[at : at + _TOGETHER] = self._find_together(starts[at : at + _TOGETHER])
        answers, first = [], 0
        for one in images:
            own = found[first : first + len(one.boxes_xyxy)]
            answers.append(rounded(own, five_points(own)))
            first += len(own)
        return answers

    def _find_together(self, starts: Sequence[_Start]) -> FloatArray:
        """Return (N, 68, 2) points in the images: all patches first, then all first passes, then the second ones."""
        patches = [cut_patch(image_bgr, square, self._normalize) for image_bgr, square, _ in starts]
        grays = np.stack([patch.gray for patch in patches])
        first = self._predictor.find(grays, np.tile([MARGIN, MARGIN, FACE], (len(patches), 1)))
        found = np.array([patch.to_image(points) for patch, points in zip(patches, first, strict=True)])
        unsure = _unsure(starts, found)
        if unsure:
            # Started again from its own answer, the predictor mends its worst errors; a third time gains nothing.
            squares = [fit_square(first[place], self._mean68) for place in unsure]
            second = self._predictor.find(grays[unsure], np.maximum(np.round(squares), [-np.inf, -np.inf, 1]))
            for place, points in zip(unsure, second, strict=True):
                found[place] = patches[place].to_image(points)
        return found

    def _starts(self, faces: FacesOf) -> Iterator[_Start]:
        """Where each face of an image is looked for; without points, or with all in one place, by its box."""
        for index, box in enumerate(faces.boxes_xyxy):
            points = None if faces.points5 is None else faces.points5[index]
            square = None if points is None else square_from_points(points, self._mean5)
            yield (
                (faces.image_bgr, square_from_box(box), None)
                if square is None
                else (faces.image_bgr, square, points)
            )


def _unsure(starts: Sequence[_Start], first: FloatArray) -> list[int]:
    """Return the faces for which a second pass may gain something.

    Args:
        first: (N, 68, 2), the first one's points in the images.
    """
    unknown = np.full((5, 2), np.nan)
    points = np.array([unknown if own is None else own for _, _, own in starts])
    away = np.hypot(*np.moveaxis(five_points(first) - points, -1, 0)).mean(axis=1)
    sure = np.where(aside(points) > _TURNED, _SURE_OF_TURNED, _SURE)
    # Without the detector's points the distance is not a number, which is below no other: unsure.
    places: list[int] = np.flatnonzero(~(away < sure * [square.side for _, square, _ in starts])).tolist()
    return places


_shared: dict[tuple[str, int, int], ShapePredictor] = {}
"""Predictors that this process keeps open, by their files."""


def share_predictor(path: Path, cache_dir: Path | None = None) -> None:
    """Load a predictor and keep it: `open_dlib68` opens that one, here and in all processes forked from this one.

    They share its memory. What is wrong with the file is told by `open_dlib68`.
    """
    with contextlib.suppress(OSError, ValueError):
        key = _key(path)
        if key not in _shared:
            _shared[key] = ShapePredictor(open_trees(path, cache_dir))


def _key(path: Path) -> tuple[str, int, int]:
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def open_dlib68(path: Path, normalize: Normalizer | None = None, cache_dir: Path | None = None) -> Dlib68:
    """Load the predictor (100 MB, a second, or a tenth of one from the cache).

    Args:
        cache_dir: where its trees are kept; None: nowhere.

    Raises:
        UnfitError: the file is none of 68 points, or cannot be read.
    """
    try:
        predictor = _shared.get(_key(path)) or ShapePredictor(open_trees(path, cache_dir))
    except OSError as exc:
        raise UnfitError(f"the model {path} cannot be read: {exc.strerror}; give a readable file") from exc
    except ValueError as exc:
        raise UnfitError(
            f"the model {path} is no dlib shape predictor ({exc}); give another --landmark-model"
        ) from exc
    if predictor.points != 68:
        raise UnfitError(
            f"the model {path} must find 68 points, it finds {predictor.points}; give another --landmark-model"
        )
    return Dlib68(predictor, normalize)


def _mean_face(predictor: ShapePredictor) -> FloatArray:
    """Return (68, 2), where the predictor ends in a square of side 1 when the picture shows nothing."""
    side = 1000
    nothing = np.zeros((1, 2 * side, 2 * side), dtype=np.uint8)
    (points,) = predictor.find(nothing, np.array([[side / 2, side / 2, side]]))
    moved: FloatArray = (points - side / 2) / side
    return moved
