"""How images and frames are cut into tasks."""

from __future__ import annotations

import pytest

from producer.ranges import cut, in_sizes, tapered, without_open_range


def frames(*lengths: int, of: int = 1) -> dict[int, tuple[int, int]]:
    """Ids from 1 on, in ranges of these lengths; the keyframe of each is its first id."""
    found, at = {}, 1
    for length in lengths:
        found |= dict.fromkeys(range(at, at + length), (of, at))
        at += length
    return found


def lengths(ids: int, size: int, ranges: dict[int, tuple[int, int]], longest: int | None = None) -> list[int]:
    pieces = list(cut(range(1, ids + 1), size, ranges, longest=longest))
    assert [one for piece in pieces for one in piece] == list(range(1, ids + 1))
    return [len(piece) for piece in pieces]


@pytest.mark.parametrize(
    ("ids", "largest", "least", "workers", "expected"),
    [
        (0, 24, 3, 2, []),
        (1, 24, 3, 2, [1]),
        # Halves of an equal share: 40 / (2 x 2) = 10, 30 / 4 = 8, 22 / 4 = 6, 16 / 4 = 4, 12 / 4 = 3.
        (40, 24, 3, 2, [10, 8, 6, 4, 3, 3, 3, 3]),
        (200, 24, 3, 2, [24, 24, 24, 24, 24, 20, 15, 12, 9, 6, 5, 4, 3, 3, 3]),
        (5, 1, 1, 3, [1, 1, 1, 1, 1]),
    ],
)
def test_the_last_tasks_shrink(ids: int, largest: int, least: int, workers: int, expected: list[int]) -> None:
    pieces = list(tapered(range(ids), largest, least, workers))
    assert [len(piece) for piece in pieces] == expected
    assert [one for piece in pieces for one in piece] == list(range(ids))


@pytest.mark.parametrize(
    ("ids", "expected"),
    [(0, []), (3, [(0,), (1, 2)]), (4, [(0,), (1, 2), (3,)]), (9, [(0,), (1, 2), (3, 4, 5)])],
)
def test_the_first_tasks_have_their_sizes(ids: int, expected: list[tuple[int, ...]]) -> None:
    assert list(in_sizes(range(ids), [1, 2, 3])) == expected


@pytest.mark.parametrize(
    ("ids", "expected"), [(0, []), (1, [1]), (16, [16]), (17, [16, 1]), (40, [16, 16, 8])]
)
def test_pictures_are_cut_evenly(ids: int, expected: list[int]) -> None:
    assert lengths(ids, 16, {}) == expected


def test_a_task_begins_with_a_keyframe() -> None:
    assert lengths(100, 16, frames(25, 25, 25, 25)) == [25, 25, 25, 25]
    assert lengths(36, 16, frames(12, 12, 12)) == [12, 12, 12]


def test_short_ranges_are_joined() -> None:
    assert lengths(40, 16, frames(*[5] * 8)) == [15, 15, 10]
    assert lengths(40, 16, frames(*[1] * 40)) == [16, 16, 8]


def test_a_long_range_is_cut_into_equal_parts() -> None:
    assert lengths(250, 16, frames(250)) == [63, 63, 63, 61]
    assert lengths(300, 16, frames(250, 50), longest=19) == [18] * 13 + [16, 17, 17, 16]


def test_pictures_and_frames_of_several_videos_share_a_job() -> None:
    ranges = dict.fromkeys(range(11, 31), (1, 11)) | dict.fromkeys(range(31, 41), (2, 11))
    assert lengths(45, 16, ranges) == [10, 20, 15]


def test_the_range_that_may_go_on_waits_for_its_rest() -> None:
    ranges = frames(10, 10, 5)
    assert without_open_range(list(range(1, 26)), ranges) == list(range(1, 21))
    assert without_open_range(list(range(1, 11)), ranges) == list(range(1, 11))
    assert without_open_range([], {}) == []
    assert without_open_range([1, 2, 3], {}) == [1, 2, 3]
