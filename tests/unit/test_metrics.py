"""The parts of the page of metrics: rows read once, histograms, counting that does not cost too much."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import HistogramMetricFamily
from sqlalchemy import Connection, Engine, create_engine, delete, insert

from common.models import Base, Chunk, Image, InputRow, Job
from workers.metrics import counts, tail
from workers.metrics.counts import CountCache, count_images
from workers.metrics.tail import ChunkReader
from workers.metrics.tally import ChunkTally, Histogram


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A database with one job and one input."""
    engine = create_engine(f"sqlite:///{tmp_path}/test.db")
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(
            insert(Job).values(
                id=1, name="00000001", output=b"/out", output_given=b"out", options={}, state="running",
                version="0", created_at=0.0, started_at=100.0,
            )
        )  # fmt: skip
        connection.execute(
            insert(InputRow).values(
                id=1, job_id=1, position=0, kind="folder", given=b"", root=b"", prefix=b""
            )
        )
    yield engine
    engine.dispose()


def add_chunk(engine: Engine, chunk_id: int, **values: Any) -> None:
    """One row."""
    fields = {
        "job_id": 1, "stage": "detect", "worker": "w:1", "images": 4, "faces": 5, "artifacts": 0,
        "undrawn": 0, "started_at": 200.0, "seconds": {"total": 2.0, "detect": 1.5},
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(insert(Chunk).values(id=chunk_id, **{**fields, **values}))


def new_ids(reader: ChunkReader, engine: Engine) -> list[int]:
    """Ids that the reader gives now."""
    with engine.connect() as connection:
        return [row.id for row in reader.read(connection)]


def test_each_row_is_read_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_PAGE", 2)
    reader = ChunkReader(Clock())
    assert new_ids(reader, engine) == []
    for one in range(1, 6):
        add_chunk(engine, one)
    assert new_ids(reader, engine) == [1, 2, 3, 4, 5]
    assert new_ids(reader, engine) == []
    add_chunk(engine, 6)
    assert new_ids(reader, engine) == [6]


def test_a_row_committed_late_is_still_read(engine: Engine) -> None:
    """PostgreSQL gives out ids before the commit: 7 may become visible before 6."""
    clock = Clock()
    reader = ChunkReader(clock)
    add_chunk(engine, 5)
    assert new_ids(reader, engine) == [5]
    add_chunk(engine, 7)
    assert new_ids(reader, engine) == [7]
    clock.now = 100.0
    add_chunk(engine, 6)
    assert new_ids(reader, engine) == [6]
    clock.now = 300.0
    assert new_ids(reader, engine) == []
    add_chunk(engine, 8)
    assert new_ids(reader, engine) == [8]
    assert new_ids(reader, engine) == []


def test_what_is_remembered_stays_small(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "_PAGE", 10)
    monkeypatch.setattr(tail, "_OVERLAP", 5)
    clock = Clock()
    reader = ChunkReader(clock)
    for one in range(1, 101):
        add_chunk(engine, one)
    assert len(new_ids(reader, engine)) == 100
    assert len(reader._seen) == 5
    clock.now = 1000.0
    assert new_ids(reader, engine) == []
    assert len(reader._seen) == 0


def test_a_broken_connection_makes_no_row_count_twice(engine: Engine) -> None:
    reader = ChunkReader(Clock())
    for one in range(1, 4):
        add_chunk(engine, one)
    with engine.connect() as connection:
        rows = reader.read(connection)
        assert next(rows).id == 1
        rows.close()  # type: ignore[attr-defined]
    assert new_ids(reader, engine) == [2, 3]


def test_ids_of_deleted_rows_that_sqlite_gives_again_are_read(engine: Engine) -> None:
    reader = ChunkReader(Clock())
    for one in range(1, 10):
        add_chunk(engine, one)
    assert len(new_ids(reader, engine)) == 9
    with engine.begin() as connection:
        connection.execute(delete(Chunk).where(Chunk.id > 3))
    assert new_ids(reader, engine) == []
    add_chunk(engine, 4)
    assert new_ids(reader, engine) == [4]


def test_a_value_on_a_bound_belongs_to_the_bucket_it_ends() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 9.0):
        histogram.observe(value)
    family = HistogramMetricFamily("x", "x", labels=["a"])
    histogram.add_to(family, ["b"])
    samples = {(s.name, s.labels.get("le")): s.value for s in family.samples}
    assert samples["x_bucket", "1.0"] == 2
    assert samples["x_bucket", "2.0"] == 4
    assert samples["x_bucket", "+Inf"] == samples["x_count", None] == 5
    assert samples["x_sum", None] == 14.0


def test_chunks_add_up(engine: Engine) -> None:
    add_chunk(engine, 1)
    add_chunk(engine, 2, stage="augment", images=8, artifacts=3, started_at=300.0)
    # Nobody but a worker writes these rows; what it writes need not please us.
    add_chunk(engine, 3, seconds={"total": "soon"})
    tally = ChunkTally(chunk_size=8)
    with engine.connect() as connection:
        for row in ChunkReader().read(connection):
            tally.add(row)
    assert tally.totals["detect", "images"] == 8
    assert tally.totals["augment", "artifacts"] == 3
    assert set(tally.part_seconds) == {("detect", "detect"), ("augment", "detect")}
    assert tally.ended_at == {1: 302.0}


def images(connection: Connection, **numbers: int) -> None:
    """Images in these states."""
    rows = [(state, one) for state, number in numbers.items() for one in range(number)]
    for state, one in rows:
        name = f"{state}{one}".encode()
        connection.execute(
            insert(Image).values(
                job_id=1, input_id=1, relative_path=name, stem=name, status=state, attempts=one,
                alone_starts=0, error_code="truncated" if state == "failed" else None,
            )
        )  # fmt: skip


def test_images_are_counted_per_state_cause_and_repetition(engine: Engine) -> None:
    with engine.begin() as connection:
        images(connection, done=4, failed=2)
        found = count_images(connection, 1)
    assert found.states == {"queued": 0, "detected": 0, "done": 4, "missed": 0, "failed": 2}
    assert found.repeated == 2  # attempts 2 and 3 among the done
    assert found.failures == {"truncated": 2}


def test_counting_takes_a_small_part_of_the_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, made = Clock(), []

    def dear(_connection: Connection, job_id: int) -> counts.ImageCounts:
        clock.now += 2.0
        made.append(job_id)
        return counts.ImageCounts({}, 0, {})

    monkeypatch.setattr(counts, "count_images", dear)
    cache = CountCache(clock)

    class AJob:
        id, state, started_at, finished_at = 1, "running", 0.0, None

    with engine.connect() as connection:
        for _ in range(100):
            cache.of(connection, AJob)
            clock.now += 1.0
        assert 2 <= len(made) <= 4
        AJob.state = "done"
        for _ in range(100):
            cache.of(connection, AJob)
            clock.now += 100.0
        assert 3 <= len(made) <= 5
