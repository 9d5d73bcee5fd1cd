"""Following a job: its end and its beginning are seen between two looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from common.errors import UnfitError
from common.ledger.images import mark_sent, unsent
from common.ledger.jobs import close_job
from common.ledger.reports import Counts
from producer import follow as follow_module
from producer.feed import Feeder
from producer.follow import Recording, follow
from tests.unit.ledgers import Ledger, open_ledger


class _Feeder:
    """Marks as sent what is there; no queue."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.feeds = 0
        self.sent = threading.Event()
        self.is_drained = False
        self.has_room = True

    def feed(self) -> int:
        self.feeds += 1
        ids = [one for _, some in unsent(self._ledger.engine, self._ledger.job.id, 100) for one in some]
        if ids:
            mark_sent(self._ledger.engine, ids)
            self.sent.set()
        self.is_drained = True
        return len(ids)

    def recover(self) -> int:
        return 0


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    is_sqlite = request.param == "sqlite"
    made = open_ledger(f"sqlite:///{tmp_path}/l.db" if is_sqlite else request.getfixturevalue("postgres_url"))
    yield made
    made.engine.dispose()


@pytest.fixture(autouse=True)
def rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    # So rare that a job which waits for them never ends.
    for name in ("_POLL_S", "_LATER_POLL_S"):
        monkeypatch.setattr(follow_module, name, 3600.0)


def _followed(ledger: Ledger, feeder: _Feeder, recording: Recording) -> tuple[str, list[Counts]]:
    seen: list[Counts] = []
    state = follow(
        ledger.engine,
        ledger.job,
        cast(Feeder, feeder),
        recording,
        on_tick=lambda counts, _is_recorded: seen.append(counts),
    )
    return state, seen


def test_first_images_and_the_end_are_seen_between_two_looks(ledger: Ledger) -> None:
    feeder = _Feeder(ledger)
    looked = threading.Event()
    ids: list[int] = []

    def record(_is_stopped: object) -> None:
        looked.wait(60)
        ids.extend(ledger.add(b"a.jpg"))

    def work() -> None:
        feeder.sent.wait(60)
        ledger.set(ids[0], status="done")

    recording = Recording(record)
    worker = threading.Thread(target=work)
    worker.start()
    looked.set()
    state, seen = _followed(ledger, feeder, recording)
    worker.join()
    assert state == "done"
    assert seen[-1] == Counts(done=1)
    # One before or with the first image, one that it called for, one for the end.
    assert feeder.feeds <= 3


def test_what_someone_else_feeds_is_not_looked_at_all_the_time(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = ledger.add(b"a.jpg")
    feeder = _Feeder(ledger)
    monkeypatch.setattr(_Feeder, "feed", lambda self: setattr(self, "feeds", self.feeds + 1) or 0)
    feeder.is_drained = True
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 50:
            ledger.set(image, status="failed")

    monkeypatch.setattr(follow_module.time, "sleep", sleep)
    recording = Recording(lambda _is_stopped: None)
    state, seen = _followed(ledger, feeder, recording)
    assert state == "done"
    assert seen[-1] == Counts(failed=1)
    assert feeder.feeds <= 3


def test_a_halted_job_is_told(ledger: Ledger) -> None:
    ledger.add(b"a.jpg")
    close_job(ledger.engine, ledger.job.id, "halted", "no model")
    with pytest.raises(UnfitError, match="no model"):
        _followed(ledger, _Feeder(ledger), Recording(lambda _is_stopped: None))
