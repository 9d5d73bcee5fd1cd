"""Recording: all rows are there when it ends, also where batches are committed beside the enumeration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.ledger.jobs import add_inputs, find_job
from producer import plan
from producer.inputs import read_inputs
from producer.plan import record_found
from producer.scan import Scanner
from tests.unit.ledgers import Ledger, open_ledger

NAMES = sorted([f"{folder}/{name}.jpg" for folder in ("a", "b/c", "b") for name in range(40)] + ["top.png"])


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    is_sqlite = request.param == "sqlite"
    made = open_ledger(f"sqlite:///{tmp_path}/l.db" if is_sqlite else request.getfixturevalue("postgres_url"))
    yield made
    made.engine.dispose()


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scanner:
    for name in NAMES:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    monkeypatch.setattr(plan, "_FIRST_BATCH", 7)
    monkeypatch.setattr(plan, "_BATCH", 10)
    return Scanner(read_inputs([str(tmp_path / "pictures")], None), b"/is-not-there")


def _record(ledger: Ledger, walk: Scanner, is_stopped: Callable[[], bool] = lambda: False) -> int:
    ids = add_inputs(ledger.engine, ledger.job, walk.inputs)
    job = find_job(ledger.engine, name=ledger.job.name)
    assert job is not None
    ledger.job = job
    return record_found(ledger.engine, job, ids, walk, walk.images(), is_stopped=is_stopped)


def test_every_image_has_its_row_and_a_second_time_changes_none(ledger: Ledger, walk: Scanner) -> None:
    assert _record(ledger, walk) == len(NAMES)
    rows = ledger.rows("images")
    assert [bytes(row["relative_path"]).decode() for row in rows] == NAMES
    assert [bytes(row["stem"]).decode() for row in rows] == [name[:-4] for name in NAMES]
    assert [row["size"] for row in rows] == [len(name) for name in NAMES]
    assert {(row["status"], row["attempts"], row["starts"]) for row in rows} == {("queued", 0, 0)}
    again = _record(ledger, walk)
    assert again == len(NAMES)
    assert ledger.rows("images") == rows


def test_what_goes_wrong_with_a_commit_is_raised(
    ledger: Ledger, walk: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = plan.record_images
    calls: list[int] = []

    def fail_last(engine: object, job_id: int, images: list[object]) -> None:
        calls.append(len(images))
        # 7, then eleven times 10, then the last 4 of 121.
        if len(images) == 4:
            raise ValueError("a commit that goes wrong")
        record(engine, job_id, images)  # type: ignore[arg-type]

    monkeypatch.setattr(plan, "record_images", fail_last)
    with pytest.raises(ValueError, match="goes wrong"):
        _record(ledger, walk)
    assert calls == [7, *[10] * 11, 4]
    assert len(ledger.rows("images")) == 117
    job = next(row for row in ledger.rows("jobs") if row["id"] == ledger.job.id)
    assert job["scanned_at"] is None


def test_it_stops_between_two_commits(ledger: Ledger, walk: Scanner) -> None:
    asked: list[None] = []

    def is_stopped() -> bool:
        asked.append(None)
        return len(asked) > 3

    found = _record(ledger, walk, is_stopped)
    assert found == len(ledger.rows("images")) == 27
