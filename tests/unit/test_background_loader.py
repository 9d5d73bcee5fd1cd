"""Reading ahead: order, bounds, errors."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator

import pytest

from common.background_loader import BackgroundLoader


def loader_threads() -> int:
    return sum(thread.name.startswith("maskmill-loader") for thread in threading.enumerate())


def test_results_come_in_the_order_of_the_items_whichever_is_ready_first() -> None:
    second_is_done = threading.Event()

    def load(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(240)
        if item == 1:
            second_is_done.set()
        return item * 10

    with BackgroundLoader(range(50), load) as loaded:
        assert list(loaded) == [item * 10 for item in range(50)]
    assert loader_threads() == 0


def test_it_begins_at_once_and_never_holds_more_than_its_buffer() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    with BackgroundLoader(items(), str) as loaded:
        assert len(taken) == 8, "the default"
        for count in range(1, 20):
            next(loaded)
            assert len(taken) == 8 + count
    with BackgroundLoader(items(), str, buffer=3):
        assert len(taken) == 8 + 19 + 3


def test_an_error_comes_after_the_results_before_it_with_the_traceback_of_the_thread() -> None:
    def load_badly(item: int) -> int:
        if item == 3:
            raise KeyError("item three")
        return item

    loaded = BackgroundLoader(range(1000), load_badly)
    assert [next(loaded) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="item three") as caught:
        next(loaded)
    assert "load_badly" in [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert loader_threads() == 0, "it has ended"
    assert list(loaded) == []


def test_a_consumer_that_waits_is_woken_by_the_error() -> None:
    go_on = threading.Event()

    def load(item: int) -> int:
        assert go_on.wait(240)
        raise OSError("disk")

    with BackgroundLoader(range(10), load) as loaded:
        threading.Timer(0.05, go_on.set).start()
        with pytest.raises(OSError, match="disk"):
            next(loaded)


def test_an_error_of_the_items_is_the_consumers_too() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        BackgroundLoader(items(), str)


def test_two_loaders_do_not_meet() -> None:
    with (
        BackgroundLoader(range(30), lambda item: ("a", item)) as first,
        BackgroundLoader(range(30), lambda item: ("b", item)) as second,
    ):
        for number in range(30):
            assert next(first) == ("a", number)
            assert next(second) == ("b", number)
        assert list(first) == list(second) == []


def test_leaving_early_ends_the_threads_and_starts_nothing_more() -> None:
    started: list[int] = []

    def load(item: int) -> int:
        started.append(item)
        return item

    with BackgroundLoader(iter(int, 1), load, threads=1) as loaded:
        next(loaded)
    count = len(started)
    loaded.close()
    assert loader_threads() == 0
    assert len(started) == count <= 9
    assert list(loaded) == []


def test_no_items_and_impossible_bounds() -> None:
    assert list(BackgroundLoader([], str)) == []
    for options in ({"buffer": 0}, {"threads": 0}):
        with pytest.raises(ValueError):
            BackgroundLoader([], str, **options)
