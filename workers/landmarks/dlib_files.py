"""Read what dlib wrote: the file of a `shape_predictor`.

dlib writes a whole number as a byte, its size with 128 added where the number is below zero, and that many
bytes, the lowest first; a fraction as two whole numbers, mantissa and exponent of two; and a sequence as its length and
its members. A file of 68 points has 16 million numbers and 120,000 leaves; all leaves are read side by side.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from workers.landmarks.regression_trees import Floats, Trees

_VERSION = 1
_MOST_ROWS = 10_000
_FARTHEST = 1000.0
"""No place or threshold of a predictor is as large: places are in sides of a square, pixels are below 256."""
_MASKS = np.array([256 ** min(size, 4) - 1 for size in range(16)], dtype=np.uint32)
"""Size of a whole number → the bytes of a word that are its own; one of more than 4 bytes comes out wrong."""
_POWERS = np.array(
    [
        sign * 2.0**exponent if abs(exponent) <= 100 else np.nan
        for sign in (1, -1)
        for turn in (1, -1)
        for exponent in range(0, 256 * turn, turn)
    ],
    dtype=np.float32,
)
"""512 where the mantissa is below zero, and 256 where the exponent is, and the exponent → what it is multiplied with."""
_USUAL = 6
"""Bytes of most fractions."""
_TOGETHER = 1 << 12
"""Leaves read side by side: what is worked out for them stays in the processor's cache."""

_Places: TypeAlias = npt.NDArray[np.int64]
_Item = TypeVar("_Item")


def read_shape_predictor(path: Path) -> Trees:
    """Read a predictor.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no predictor, or not a whole one.
    """
    with path.open("rb") as stream:
        try:
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise ValueError("the file is empty") from None
    try:
        return _Reader(content).predictor()
    except (IndexError, OverflowError) as exc:
        raise ValueError("the file ends early, or is none of dlib's") from exc


class _Reader:
    """A place in a file, and what stands there."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._at = 0

    def predictor(self) -> Trees:
        if self.whole() != _VERSION:
            raise ValueError("no predictor of version 1")
        # A matrix: its rows and columns, below zero.
        rows, columns = -self.whole(), -self.whole()
        if columns != 1 or rows % 2 or not 2 <= rows <= _MOST_ROWS:
            raise ValueError("no mean shape")
        header = self._content[self._at - len(_packed(-rows)) - len(_packed(-1)) : self._at]
        mean = np.array([self.fraction() for _ in range(rows)])
        splits, leaves, shape = self._forests(header, rows)
        anchors = self.sequence(lambda: self.sequence(self.whole))
        offsets = self.sequence(lambda: self.sequence(lambda: (self.fraction(), self.fraction())))
        if self._at != len(self._content):
            raise ValueError("more stands in the file than a predictor")
        offsets_xy = np.array(offsets, dtype=np.float64)
        if not all(
            -_FARTHEST < each.min() <= each.max() < _FARTHEST
            for each in (mean, offsets_xy, leaves, splits[2])
        ):
            raise ValueError("places that no predictor has")
        cascades, trees, each = shape
        left, right, thresholds = (
            one.reshape(cascades, trees, each).swapaxes(1, 2).reshape(cascades, -1) for one in splits
        )
        return Trees(
            mean.astype(np.float32),
            np.array(anchors, dtype=np.intp),
            offsets_xy.astype(np.float32).swapaxes(1, 2)[..., None],
            left.astype(np.intp),
            right.astype(np.intp),
            # Differences of pixels are whole numbers: more than the threshold is more than its whole part.
            np.clip(np.floor(thresholds), -256, 256).astype(np.int16)[..., None],
            leaves,
        )

    def _forests(
        self, header: bytes, rows: int
    ) -> tuple[list[npt.NDArray[Any]], Floats, tuple[int, int, int]]:
        """Read all trees: (trees, S) arrays of their splits, (C, leaves, rows) of their leaves, and C, T and S."""
        cascades, trees = self.whole(), self.whole()
        first = self._at
        each = self.whole()
        leaves = each + 1
        count = cascades * trees * leaves
        # What a leaf begins with, and how a fraction below one looks: no place inside a leaf looks so by chance.
        looks = re.compile(
            re.escape(header) + rb"(?=(?:[\x01\x81].|[\x02\x82]..|[\x03\x83]...)[\x01\x81])", re.DOTALL
        )
        begins = np.array([found.end() for found in looks.finditer(self._content, first)], dtype=np.int64)
        if not 0 < count == len(begins):
            raise ValueError(f"{count} leaves were announced, {len(begins)} are there")
        words = _Words(self._content)
        values, ends = words.leaves(begins, np.diff(begins, append=begins[-1]) - len(header), rows)
        begins, ends = (one.reshape(-1, leaves) for one in (begins - len(header), ends))
        # A tree stands behind the last leaf of the one before; a cascade says first how many trees it has.
        at = np.concatenate([[first], ends[:-1, -1]])
        lengths, at[trees::trees] = words.wholes(at[trees::trees])
        splits, at = words.wholes(at)
        columns: tuple[list[Any], ...] = ([], [], [])
        for _ in range(each):
            for column, read in zip(columns, (words.wholes, words.wholes, words.fractions), strict=True):
                numbers, at = read(at)
                column.append(numbers)
        announced, at = words.wholes(at)
        is_whole = (
            (lengths == trees).all()
            and (splits == each).all()
            and (announced == leaves).all()
            and (at == begins[:, 0]).all()
            and (ends[:, :-1] == begins[:, 1:]).all()
        )
        if not is_whole:
            raise ValueError("the trees of this file differ in size, or are broken")
        self._at = int(ends[-1, -1])
        found = [np.stack(column, axis=1) for column in columns]
        return found, values.reshape(cascades, -1, rows), (cascades, trees, each)

    def whole(self) -> int:
        control = self._content[self._at]
        size = control & 15
        if size > 8:
            raise ValueError("no whole number of dlib's")
        begin = self._at + 1
        self._at = begin + size
        number = int.from_bytes(self._content[begin : self._at], "little")
        return -number if control & 128 else number

    def fraction(self) -> float:
        mantissa, exponent = self.whole(), self.whole()
        return float(mantissa) * 2.0 ** max(-1000, min(exponent, 900))

    def sequence(self, read: Callable[[], _Item]) -> list[_Item]:
        count = self.whole()
        if not 0 <= count <= len(self._content) - self._at:
            raise ValueError("a sequence longer than the file")
        return [read() for _ in range(count)]


class _Words:
    """Numbers at many places of a file at a time; IndexError where the file ends before they do."""

    def __init__(self, content: mmap.mmap) -> None:
        self._bytes = np.frombuffer(content, dtype=np.uint8)
        # Four bytes from each byte on: they overlap.
        starts = max(0, len(self._bytes) - 3)
        self._words = np.ndarray((starts,), "<u4", self._bytes, strides=(1,))

    def wholes(self, at: _Places) -> tuple[_Places, _Places]:
        """Return the whole numbers, of up to 4 bytes, that stand at some places, and the places behind them."""
        control = self._bytes[at]
        size = control & 15
        numbers = (self._words[at + 1] & _MASKS[size]).astype(np.int64)
        np.negative(numbers, out=numbers, where=control > 127)
        return numbers, at + 1 + size

    def fractions(self, at: _Places) -> tuple[Floats, _Places]:
        """Return the fractions that stand at some places, and the places behind them."""
        control = self._bytes[at]
        size = control & 15
        mantissas = self._words[at + 1] & _MASKS[size]
        at = at + size
        exponent_control, exponents = self._bytes[at + 1], self._bytes[at + 2]
        if ((exponent_control & 127) != 1).any():
            raise ValueError("no fraction that a predictor has")
        signs = (control >> 7).astype(np.uint16) << 9
        signs |= (exponent_control >> 7).astype(np.uint16) << 8
        return mantissas.astype(np.float32) * _POWERS[signs | exponents], at + 3

    def leaves(self, begins: _Places, lengths: _Places, count: int) -> tuple[Floats, _Places]:
        """Return the fractions of leaves, `count` each, and the places behind them.

        Args:
            begins: (N,) where their first ones stand.
            lengths: (N,) bytes up to what is supposed to follow; it may be wrong.
        """
        values = np.empty((len(begins), count), dtype=np.float32)
        ends = begins + _USUAL * count
        is_usual = (lengths == _USUAL * count) & (ends <= len(self._bytes))
        for some in _parts(np.flatnonzero(is_usual)):
            is_usual[some] = self._usual_leaves(some, begins, values)
        for some in _parts(np.flatnonzero(~is_usual)):
            at = begins[some]
            for column in range(count):
                values[some, column], at = self.fractions(at)
            ends[some] = at
        return values, ends

    def _usual_leaves(self, some: _Places, begins: _Places, values: Floats) -> npt.NDArray[np.bool_]:
        """Read leaves all of whose fractions have 3 bytes of mantissa and 1 of exponent, as more than half have."""
        rows = np.lib.stride_tricks.sliding_window_view(self._bytes, _USUAL * values.shape[1])[begins[some]]
        # Pairs of bytes: control and mantissa, mantissa, control and exponent.
        first, second, third = np.moveaxis(rows.view("<u2").reshape(len(some), -1, 3), -1, 0)
        mantissas = second.astype(np.uint32) << 8
        mantissas |= first >> 8
        signs = (first & 128) << 2
        signs |= (third & 128) << 1
        signs |= third >> 8
        values[some] = mantissas.astype(np.float32) * _POWERS[signs]
        is_usual: npt.NDArray[np.bool_] = (((first & 127) == 3) & ((third & 127) == 1)).all(axis=1)
        return is_usual


def _parts(places: _Places) -> Iterator[_Places]:
    for start in range(0, len(places), _TOGETHER):
        yield places[start : start + _TOGETHER]


def _packed(number: int) -> bytes:
    """A whole number as dlib writes it."""
    size = max(1, (abs(number).bit_length() + 7) // 8)
    return bytes([size | (128 if number < 0 else 0)]) + abs(number).to_bytes(size, "little")
