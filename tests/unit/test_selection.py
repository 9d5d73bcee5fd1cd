"""Which detections count, and in which order they are numbered."""

from __future__ import annotations

import numpy as np
import pytest

from common.ledger.rows import FaceRow
from common.options import MAX_FACES, JobOptions
from workers.detectors.base import Detection
from workers.selection import select_faces

Box = tuple[float, float, float, float]


def select(boxes: list[Box], scores: list[float] | None = None, **options: object) -> tuple[FaceRow, ...]:
    detection = Detection(
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(scores or [0.9] * len(boxes), dtype=np.float64),
        None,
    )
    return select_faces(detection, 300, 200, JobOptions(**options))  # type: ignore[arg-type]


def indices(rows: tuple[FaceRow, ...]) -> list[int | None]:
    return [row.face_index for row in rows]


def square(x: float, y: float, side: float = 10) -> Box:
    return x, y, x + side, y + side


def test_no_detection_gives_no_row() -> None:
    assert select([]) == ()


def test_one_face_is_the_first() -> None:
    (row,) = select([square(5, 5)])
    assert (row.ordinal, row.face_index, row.status, row.points_5) == (0, 0, "accepted", None)


def test_faces_are_numbered_by_centre_from_left_to_right_then_down() -> None:
    boxes = [square(200, 0), square(50, 90), square(50, 10), (0, 100, 30, 130)]
    assert indices(select(boxes)) == [3, 2, 1, 0]
    # The centre counts, not the edge: this one begins further left and lies further right.
    assert indices(select([(0, 0, 100, 100), square(20, 0)])) == [1, 0]


def test_small_faces_are_rejected_by_their_diagonal() -> None:
    # A box of 30 x 40 has a diagonal of 50.
    boxes: list[Box] = [(0, 0, 30, 40), (100, 0, 129, 40)]
    assert indices(select(boxes, min_face="50")) == [0, None]
    assert select(boxes, min_face="50")[1].status == "rejected:min_size"
    # 25 % of the short side of 200.
    assert indices(select(boxes, min_face="25%")) == [0, None]


def test_the_largest_face_alone_is_kept() -> None:
    rows = select([square(0, 0, 10), square(50, 0, 30), square(100, 0, 20)], largest_face=True)
    assert indices(rows) == [None, 0, None]
    assert {row.status for row in rows} == {"accepted", "rejected:not_largest"}


def test_of_many_faces_those_with_the_highest_scores_are_kept() -> None:
    rows = select([square(0, 0), square(50, 0), square(100, 0)], [0.7, 0.9, 0.8], max_faces=2)
    assert indices(rows) == [None, 0, 1]
    assert rows[0].status == "rejected:max_faces"


def test_small_faces_do_not_use_up_the_number_of_faces() -> None:
    rows = select([square(0, 0, 5), square(50, 0, 30)], [0.99, 0.6], min_face="20", max_faces=1)
    assert indices(rows) == [None, 0]


def test_the_points_of_the_detector_are_kept() -> None:
    detection = Detection(np.array([square(0, 0)]), np.array([0.5]), np.arange(10.0).reshape(1, 5, 2))
    (row,) = select_faces(detection, 50, 50, JobOptions())
    assert row.points_5 == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert row.score == pytest.approx(0.5)


def test_of_a_picture_full_of_faces_only_the_likeliest_thousand_are_accepted() -> None:
    count = MAX_FACES + 50
    rows = select(
        [square(k % 40 * 7, k // 40 * 5, 4) for k in range(count)], [1 - k / 10_000 for k in range(count)]
    )
    assert [row.status for row in rows] == ["accepted"] * MAX_FACES + ["rejected:limit"] * 50
    assert sorted(row.face_index for row in rows if row.face_index is not None) == list(range(MAX_FACES))


def test_the_limit_counts_what_other_rules_have_left() -> None:
    boxes = [square(0, 0, 1)] * 100 + [square(5, 5)] * MAX_FACES
    rows = select(boxes, min_face="5")
    assert [row.status for row in rows] == ["rejected:min_size"] * 100 + ["accepted"] * MAX_FACES
