"""The rows of a CSV file of boxes, each checked."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence

from common.errors import UsageError
from common.escaping import unescape

_REQUIRED = ("image_path", "x1", "y1", "x2", "y2")

_Values = tuple[float, float, float, float, float, float, "list[list[float]] | None"]


def read_rows(path: str) -> Iterator[tuple[int, bytes, _Values]]:
    """(line, image path unescaped, x1 y1 x2 y2 score angle points_5) of every accepted face of a CSV file.

    Raises:
        UsageError: a bad row: one sentence with its line.
    """
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        reader = csv.reader(stream)
        try:
            read = _RowReader(next(reader, []))
            for cells in reader:
                if cells:
                    row = read(cells)
                    if row is not None:
                        yield reader.line_num, *row
        except (csv.Error, ValueError) as exc:
            raise UsageError(f"--boxes {path}, line {max(1, reader.line_num)}: {exc}") from exc


class _RowReader:
    """Reads the rows below one header; a bad one raises ValueError with what is wrong."""

    def __init__(self, header: Sequence[str]) -> None:
        self._columns = {name.strip(): place for place, name in enumerate(header)}
        missing = [name for name in _REQUIRED if name not in self._columns]
        if missing:
            raise ValueError(
                f"the columns {', '.join(_REQUIRED)} are expected, {', '.join(missing)} is missing"
            )
        self._count = len(header)

    def __call__(self, cells: Sequence[str]) -> tuple[bytes, _Values] | None:
        if len(cells) != self._count:
            raise ValueError(f"{self._count} cells are expected as in the header, got {len(cells)}")
        if self._cell(cells, "status").startswith("rejected"):
            return None
        written = unescape(self._cell(cells, "image_path"))
        if not written or b"\0" in written:
            raise ValueError("image_path must be the path of a file")
        x1, y1, x2, y2 = (self._number(cells, name) for name in _REQUIRED[1:])
        if not (x1 < x2 and y1 < y2):
            raise ValueError(f"x1 < x2 and y1 < y2 are expected, got {x1:g}, {y1:g}, {x2:g}, {y2:g}")
        score, angle = self._number(cells, "score", 1.0), self._number(cells, "angle", 0.0)
        if not 0 <= score <= 1:
            raise ValueError(f"score must be 0 to 1, got {score:g}")
        return written, (x1, y1, x2, y2, score, angle % 360, _points(self._cell(cells, "points_5")))

    def _cell(self, cells: Sequence[str], name: str) -> str:
        place = self._columns.get(name)
        return "" if place is None else cells[place]

    def _number(self, cells: Sequence[str], name: str, default: float | None = None) -> float:
        text = self._cell(cells, name).strip()
        if not text and default is not None:
            return default
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(f"{name} must be a number, got {text!r:.40}")
        return number


def _points(text: str) -> list[list[float]] | None:
    if not text.strip():
        return None
    unfit = f"points_5 must be five [x, y] pairs as JSON, got {text!r:.60}"
    try:
        points = [[float(x), float(y)] for x, y in json.loads(text)]
    except (ValueError, TypeError) as exc:
        raise ValueError(unfit) from exc
    if len(points) != 5 or not all(math.isfinite(value) for point in points for value in point):
        raise ValueError(unfit)
    return points
