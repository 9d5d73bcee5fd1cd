"""Claims: one process at a time, and deadly images are found out. On SQLite and PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.ledger.claims import MAX_DEATHS, Claims, claim, release
from common.ledger.results import store_detections
from common.owner import this_owner
from common.pipeline import Stage
from tests.unit.ledgers import (
    OTHER_HOST,
    Ledger,
    dead_owner,
    detected,
    face,
    living_owner,
    open_ledger,
    times,
)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    is_sqlite = request.param == "sqlite"
    made = open_ledger(f"sqlite:///{tmp_path}/l.db" if is_sqlite else request.getfixturevalue("postgres_url"))
    yield made
    made.engine.dispose()


def take(
    ledger: Ledger, *ids: int, owner: str | None = None, stage: Stage = "detect", lease_s: float = 60
) -> Claims:
    message = ledger.message(*ids)
    return claim(ledger.engine, ledger.job.id, stage, message, owner=owner or this_owner(), lease_s=lease_s)


def test_waiting_images_are_claimed_and_counted(ledger: Ledger) -> None:
    a, b = ledger.add(b"a.jpg", b"\xff\\b.jpg")
    claims = take(ledger, a, b)
    assert [(one.id, one.relative_path, one.stem, one.attempts) for one in claims.images] == [
        (a, b"a.jpg", b"a", 1),
        (b, b"\xff\\b.jpg", b"\xff\\b", 1),
    ]
    assert (claims.alone, claims.deadly, claims.passed_on) == ([], [], [])
    assert ledger.image(a)["claimed_by"] == this_owner()
    assert ledger.image(a)["claimed_until"] > time.time()


def test_a_claim_of_a_living_process_holds(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    assert take(ledger, a, owner=living_owner()).images
    assert take(ledger, a).images == []
    assert ledger.image(a)["claimed_by"] == living_owner()
    assert ledger.image(a)["attempts"] == 1


def test_a_claim_of_another_machine_holds_until_its_lease_ends(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    take(ledger, a, owner=OTHER_HOST)
    assert take(ledger, a).images == []
    ledger.set(a, claimed_until=time.time() - 1)
    assert [one.id for one in take(ledger, a).images] == [a]


def test_images_of_a_dead_process_are_taken_apart_and_tried_alone(ledger: Ledger) -> None:
    a, b, c = ledger.add(b"a.jpg", b"b.jpg", b"c.jpg")
    take(ledger, a, b, owner=dead_owner())
    claims = take(ledger, a, b, c)
    assert (claims.alone, [one.id for one in claims.images]) == ([a, b], [c])
    assert ledger.image(a)["claimed_by"] is None
    assert [one.id for one in take(ledger, a).images] == [a]


def test_only_deaths_alone_count_and_after_some_the_image_is_failed(ledger: Ledger) -> None:
    a, b = ledger.add(b"a.jpg", b"b.jpg")
    for _ in range(5):
        take(ledger, a, b, owner=dead_owner())
        take(ledger, a, b)
    for _ in range(MAX_DEATHS):
        assert take(ledger, a, owner=dead_owner()).images
    claims = take(ledger, a)
    assert (claims.images, claims.deadly) == ([], [a])
    row = ledger.image(a)
    assert (row["status"], row["error_code"], row["error_stage"]) == ("failed", "killed-worker", "detect")
    assert row["claimed_by"] is None
    assert [one.id for one in take(ledger, b).images] == [b]


def test_an_orderly_end_alone_is_no_death(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    for _ in range(2 * MAX_DEATHS):
        assert take(ledger, a).images
        release(ledger.engine, [a], this_owner())
    assert ledger.image(a)["status"] == "queued"


def test_a_task_that_takes_too_long_alone_counts_as_a_death(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    for _ in range(MAX_DEATHS):
        assert take(ledger, a).images
        release(ledger.engine, [a], this_owner(), as_death=True)
    assert take(ledger, a).deadly == [a]


def test_only_the_owner_gives_a_claim_back(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    take(ledger, a, owner=living_owner())
    release(ledger.engine, [a], this_owner())
    assert ledger.image(a)["claimed_by"] == living_owner()
    release(ledger.engine, [a], living_owner())
    assert ledger.image(a)["claimed_by"] is None


def test_images_in_another_state_or_job_are_left_alone(ledger: Ledger) -> None:
    a, b = ledger.add(b"a.jpg", b"b.jpg")
    assert take(ledger, a, stage="augment").images == []
    assert take(ledger, 999_999).images == []
    elsewhere = claim(
        ledger.engine, ledger.job.id + 1, "detect", ledger.message(a), owner=this_owner(), lease_s=1
    )
    assert elsewhere.images == []
    ledger.set(b, status="done")
    assert take(ledger, b).images == []
    assert ledger.image(a)["attempts"] == 0


def test_what_is_detected_is_passed_on_with_its_accepted_faces(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    take(ledger, a)
    found = detected(a, face(0, 1), face(1, None), face(2, 0))
    store_detections(ledger.engine, ledger.job.id, [found], [], owner=this_owner(), times=times("detect"))
    assert take(ledger, a).passed_on == [a]
    (image,) = take(ledger, a, stage="augment").images
    assert [one.face_index for one in image.faces] == [0, 1]
    assert image.faces[0].box == (1.5, 2, 4.5, 6)
    assert image.attempts == 1
