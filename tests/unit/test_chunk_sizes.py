"""Chunks take some seconds, whatever an image takes; time is a number that the test moves."""

from __future__ import annotations

import pytest

from common.ledger.reports import Pace
from common.pipeline import LARGEST_CHUNK
from producer.chunk_sizes import FIRST, ChunkSizes, size_for


class Clock:
    """Seconds, moved by hand, and what an image takes."""

    def __init__(self, pace: float | None) -> None:
        self.s = 100.0
        self.pace = pace
        self.asked = 0

    def latest(self) -> Pace | None:
        """Of another chunk each time."""
        self.asked += 1
        return None if self.pace is None else Pace(self.pace, self.asked)

    def sizes(self, fixed: int | None = None) -> ChunkSizes:
        return ChunkSizes(fixed, self.latest, clock=lambda: self.s)


@pytest.mark.parametrize(
    ("pace", "size"),
    [(0.01, 300), (0.1, 30), (1.4, 2), (50.0, 1), (0.001, LARGEST_CHUNK), (0.0, LARGEST_CHUNK)],
)
def test_a_task_takes_about_three_seconds(pace: float, size: int) -> None:
    assert size_for(pace) == size


def test_the_first_chunks_are_small_and_later_ones_grow_to_the_right_size() -> None:
    clock = Clock(None)
    sizes = clock.sizes()
    assert sizes.now() == FIRST
    assert not sizes.is_known
    clock.pace = 0.01
    seen = []
    for _ in range(5):
        clock.s += 0.25
        seen.append(sizes.now())
    assert seen == [128, 300, 300, 300, 300]
    assert sizes.is_known


def test_the_first_sizes_are_sent_in_turn_and_the_last_again_until_something_is_known() -> None:
    clock = Clock(None)
    sizes = ChunkSizes(None, clock.latest, [1, 1, 4], clock=lambda: clock.s)
    assert sizes.opening() == (1, 1, 4)
    sizes.opened(2)
    assert sizes.opening() == (4, 4, 4)
    sizes.opened(7)
    assert sizes.opening() == (4, 4, 4)
    clock.pace = 0.03
    clock.s += 0.25
    # 100 would take three seconds; eight times the largest so far are sent.
    assert (sizes.now(), sizes.opening()) == (32, None)
    assert sizes.least() == 2
    assert clock.sizes().opening() is None


def test_the_pace_of_cold_processes_is_not_taken_for_the_right_one() -> None:
    clock = Clock(None)
    sizes = ChunkSizes(None, clock.latest, [1, 2, 4], clock=lambda: clock.s)
    seen = []
    # Seconds an image of one chunk after the other: the first of each process takes ten times what later ones do.
    for pace in (0.25, 0.055, 0.025, 0.02, 0.019):
        clock.pace = pace
        clock.s += 0.21
        seen.append((sizes.now(), sizes.is_growing))
    assert seen == [(12, True), (55, True), (120, True), (150, True), (158, False)]


def test_no_new_chunk_settles_nothing() -> None:
    sizes = ChunkSizes(None, lambda: Pace(0.25, 1), [1, 2, 4], clock=iter(range(100)).__next__)
    assert [(sizes.now(), sizes.is_growing) for _ in range(4)] == [(12, True)] * 4


def test_chunks_shrink_at_once_when_images_take_longer() -> None:
    clock = Clock(0.01)
    sizes = clock.sizes()
    for _ in range(5):
        clock.s += 0.25
        sizes.now()
    clock.pace = 0.3
    clock.s += 2.5
    assert sizes.now() == 10


def test_the_ledger_is_asked_now_and_then_only() -> None:
    clock = Clock(1.0)
    sizes = clock.sizes()
    for _ in range(50):
        clock.s += 0.1
        sizes.now()
    assert clock.asked <= 4


def test_a_fixed_size_asks_nobody() -> None:
    clock = Clock(0.01)
    assert clock.sizes(fixed=7).now() == 7
    assert clock.asked == 0
