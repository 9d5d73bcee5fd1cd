"""A cascade of regression trees that moves a mean shape to a face, for many faces at once.

Kazemi & Sullivan 2014, "One Millisecond Face Alignment with an Ensemble of Regression Trees", as dlib's
`shape_predictor` computes it, to the same bits: dlib's sums run in single precision from tree to tree, and so do
these. What differs is the order of the work: each cascade is finished for all faces before the next begins, so that
4 MB of leaves at a time are read again and again, not 65 MB for each face.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, GrayImage

Floats: TypeAlias = npt.NDArray[np.float32]
Integers: TypeAlias = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Trees:
    """What a predictor has learned: C cascades of T trees with S splits each, over P pixels, for K points.

    The splits of a tree lie in the order of a heap: those of node n are 2n + 1 and 2n + 2. S is 1, 3, 7, …

    Attributes:
        mean: (2 K,) float32, x and y in turn, in a square of side 1.
        anchors: (C, P) intp, to which point a pixel belongs.
        offsets: (C, 2, P, 1) float32, x and y from that point, in the mean shape.
        left, right: (C, S T) intp, the two pixels that a split compares; first that of all trees' first node.
        thresholds: (C, S T, 1) int16: left goes a face whose pixels differ by more.
        leaves: (C, T (S + 1), 2 K) float32, how far the shape is moved.
    """

    mean: Floats
    anchors: Integers
    offsets: Floats
    left: Integers
    right: Integers
    thresholds: Integers
    leaves: Floats

    def __post_init__(self) -> None:
        cascades, nodes = self.left.shape
        leaves = self.leaves.shape[1]
        trees = leaves - nodes
        splits, rest = divmod(nodes, max(1, trees))
        shapes = {
            "mean": (2 * self.points,),
            "anchors": (cascades, self.pixels),
            "offsets": (cascades, 2, self.pixels, 1),
            "right": (cascades, nodes),
            "thresholds": (cascades, nodes, 1),
            "leaves": (cascades, leaves, 2 * self.points),
        }
        wrong = [name for name, shape in shapes.items() if getattr(self, name).shape != shape]
        if wrong or trees < 1 or rest or splits & (splits + 1):
            raise ValueError(f"these are no whole trees: {wrong or (nodes, leaves)}")
        limits = (("anchors", self.points), ("left", self.pixels), ("right", self.pixels))
        for name, limit in limits:
            numbers = getattr(self, name)
            if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < limit:
                raise ValueError(f"{name} must be below {limit}")

    @property
    def points(self) -> int:
        """K."""
        return len(self.mean) // 2

    @property
    def pixels(self) -> int:
        """P."""
        return int(self.anchors.shape[1])

    @property
    def trees(self) -> int:
        """T."""
        return int(self.leaves.shape[1] - self.left.shape[1])

    @property
    def splits(self) -> int:
        """S."""
        return int(self.left.shape[1] // self.trees)

    def arrays(self) -> list[npt.NDArray[Any]]:
        """What it is made of, in the order of its making."""
        return [getattr(self, field.name) for field in fields(self)]


class ShapePredictor:
    """Finds the points of faces."""

    def __init__(self, trees: Trees) -> None:
        """Take what was learned."""
        self.points = trees.points
        self._trees = trees
        self._turn = _similarity_of(trees.mean)

    def find(self, grays: GrayImage, squares: FloatArray) -> FloatArray:
        """Return (N, K, 2), the points of N faces, in whole pixels as dlib rounds them.

        A face has the same points whichever others are beside it.

        Args:
            grays: (N, H, W), one picture for each face; what lies outside is black.
            squares: (N, 3), left, top and side of the square in which the mean shape starts, whole pixels.
        """
        trees = self._trees
        left, top, side = np.asarray(squares, dtype=np.float64).T
        reach = side - 1  # dlib's corners are pixels that belong to the square
        count, height, width = grays.shape
        framed = np.zeros((count, height + 2, width + 2), dtype=np.uint8)
        framed[:, 1:-1, 1:-1] = grays
        firsts = np.arange(count) * ((height + 2) * (width + 2))
        shapes = np.repeat(trees.mean[None], count, axis=0)
        table = np.empty((trees.trees + 1, len(trees.mean)), dtype=np.float32)
        for cascade in range(len(trees.leaves)):
            x, y = self._places(cascade, shapes)
            # One for the frame, a half since dlib rounds: the whole part is the place of the nearest pixel.
            columns = np.clip(x * reach + (left + 1.5), 0, width + 1).astype(np.intp)
            rows = np.clip(y * reach + (top + 1.5), 0, height + 1).astype(np.intp)
            rows *= width + 2
            rows += columns
            rows += firsts
            seen = framed.ravel().take(rows, mode="clip").astype(np.int16)
            leaves = self._descend(cascade, seen)
            for face in range(count):
                # OpenCV adds row to row in float32, as dlib does.
                table[0] = shapes[face]
                trees.leaves[cascade].take(leaves[face], axis=0, out=table[1:], mode="clip")
                cv2.reduce(table, 0, cv2.REDUCE_SUM, dst=shapes[face : face + 1])
        found = (
            shapes.reshape(count, trees.points, 2) * reach[:, None, None]
            + np.stack([left, top], axis=1)[:, None]
        )
        rounded: FloatArray = np.floor(found + 0.5)
        return rounded

    def _places(self, cascade: int, shapes: Floats) -> tuple[Floats, Floats]:
        """Return x and y, (P, N) each, of the pixels that a cascade looks at, in the square of side 1."""
        trees = self._trees
        # The turn and scale that bring the mean shape nearest to each shape.
        cosine, sine = ((shapes * each).sum(axis=1).astype(np.float32) for each in self._turn)
        x_off, y_off = trees.offsets[cascade]
        anchors = trees.anchors[cascade]
        x, y = x_off * cosine, x_off * sine
        x -= y_off * sine
        x += np.ascontiguousarray(shapes[:, 0::2].T)[anchors]
        y += y_off * cosine
        y += np.ascontiguousarray(shapes[:, 1::2].T)[anchors]
        return x, y

    def _descend(self, cascade: int, seen: Integers) -> Integers:
        """Return (N, T), the row of `leaves` in which each face ends in each tree.

        Args:
            seen: (P, N) int16, the pixels.
        """
        trees = self._trees
        difference = seen.take(trees.left[cascade], axis=0, mode="clip")
        difference -= seen.take(trees.right[cascade], axis=0, mode="clip")
        # (S, T, N): 1 where a face would go right, at every node, whether it comes there or not.
        goes_right = (difference <= trees.thresholds[cascade]).view(np.uint8)
        right = goes_right.reshape(trees.splits, trees.trees, seen.shape[1])
        path = [right[0]]
        leaf = right[0].astype(np.int32)
        while 2 ** len(path) <= trees.splits:
            level = list(right[2 ** len(path) - 1 : 2 ** (len(path) + 1) - 1])
            for turn in reversed(path):
                level = [a ^ ((a ^ b) & turn) for a, b in zip(level[0::2], level[1::2], strict=True)]
            path.append(level[0])
            leaf = 2 * leaf + level[0]
        rows: Integers = leaf.T.astype(np.intp)
        rows += np.arange(trees.trees) * (trees.splits + 1)
        return rows


def _similarity_of(mean: Floats) -> tuple[FloatArray, FloatArray]:
    """Return what a shape, x and y in turn, is multiplied with to give a cosine and a sine, each with the scale.

    The similarity that brings some points p nearest to others q, both about their middles, is in complex numbers
    sum(conj(p) q) / sum(|p|^2): a linear function of q.
    """
    about = mean.reshape(-1, 2).astype(np.float64)
    about -= about.mean(axis=0)
    spread = np.vdot(about, about)
    quarter = np.stack([-about[:, 1], about[:, 0]], axis=1)
    return about.ravel() / spread, quarter.ravel() / spread
