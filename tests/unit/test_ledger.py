"""Rows: the first writer wins, and writing twice changes nothing. On SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common.ledger.claims import claim
from common.ledger.images import forget_sent, mark_sent, record_images, stems_in_folder, unsent
from common.ledger.jobs import add_inputs, close_job, find_job, remove_job, reopen_job, set_job
from common.ledger.reports import Counts, count_images, pace_of, report
from common.ledger.results import recorded_artifacts, store_augmented, store_detections
from common.ledger.rows import DetectedImage, Failure
from common.models import Chunk
from common.options import JobOptions
from common.owner import this_owner
from common.pipeline import Stage
from producer.inputs import Input
from tests.unit.ledgers import Ledger, augmented, detected, face, living_owner, open_ledger, times


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    is_sqlite = request.param == "sqlite"
    made = open_ledger(f"sqlite:///{tmp_path}/l.db" if is_sqlite else request.getfixturevalue("postgres_url"))
    yield made
    made.engine.dispose()


def take(ledger: Ledger, stage: Stage, *ids: int, owner: str | None = None) -> None:
    message = ledger.message(*ids)
    claim(ledger.engine, ledger.job.id, stage, message, owner=owner or this_owner(), lease_s=60)


def store(ledger: Ledger, *found: DetectedImage, owner: str | None = None) -> list[int]:
    return store_detections(
        ledger.engine, ledger.job.id, found, [], owner=owner or this_owner(), times=times("detect")
    )


def finish(ledger: Ledger, image_id: int, *paths: bytes, owner: str | None = None) -> None:
    store_augmented(
        ledger.engine,
        ledger.job.id,
        [augmented(image_id, *paths)],
        [],
        owner=owner or this_owner(),
        times=times("augment"),
    )


def fail(ledger: Ledger, image_id: int, code: str, message: str) -> None:
    failure = Failure(image_id, code, message)
    store_augmented(ledger.engine, ledger.job.id, [], [failure], owner=this_owner(), times=times("augment"))


def test_images_are_recorded_once_and_keep_their_rows(ledger: Ledger) -> None:
    ids = ledger.add(b"a.jpg", b"\xff.jpg", b"sub/c.jpg")
    before = ledger.rows("images")
    assert ledger.add(b"a.jpg", b"\xff.jpg", b"sub/c.jpg") == ids
    assert ledger.rows("images") == before
    assert {row["status"] for row in before} == {"queued"}
    record_images(ledger.engine, ledger.job.id, [])


def test_waiting_images_are_told_once_until_they_are_forgotten(ledger: Ledger) -> None:
    a, b, c = ledger.add(b"a.jpg", b"b.jpg", b"c.jpg")
    assert unsent(ledger.engine, ledger.job.id, 2) == [("detect", [a, b])]
    mark_sent(ledger.engine, [a, b])
    assert unsent(ledger.engine, ledger.job.id, 2) == [("detect", [c])]
    ledger.set(a, sent_at=100.0)
    assert forget_sent(ledger.engine, ledger.job.id, before=200.0) == 1
    assert unsent(ledger.engine, ledger.job.id, 9) == [("detect", [a, c])]


def test_a_chunk_is_stored_and_waits_for_the_next_stage_or_ends(ledger: Ledger) -> None:
    a, b, c = ledger.add(b"a.jpg", b"b.jpg", b"c.jpg")
    take(ledger, "detect", a, b, c)
    onward = store_detections(
        ledger.engine,
        ledger.job.id,
        [detected(a, face(0, 0)), detected(b)],
        [Failure(c, "empty", "nothing in it")],
        owner=this_owner(),
        times=times("detect"),
    )
    assert onward == [a]
    counts = count_images(ledger.engine, ledger.job.id)
    assert (counts.queued, counts.detected, counts.missed, counts.failed) == (0, 1, 1, 1)
    assert (counts.open, counts.final, counts.total) == (1, 2, 3)
    failed = ledger.image(c)
    assert (failed["error_stage"], failed["error_code"], failed["error_message"]) == (
        "detect", "empty", "nothing in it",
    )  # fmt: skip
    assert all(row["claimed_by"] is None for row in ledger.rows("images"))


def test_a_face_that_was_only_rejected_is_a_miss(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    take(ledger, "detect", a)
    assert store(ledger, detected(a, face(0, None))) == []
    assert ledger.image(a)["status"] == "missed"
    assert len(ledger.rows("faces")) == 1


def test_storing_twice_changes_nothing(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    take(ledger, "detect", a)
    store(ledger, detected(a, face(0, 0)))
    before = (ledger.rows("faces"), ledger.rows("images"))
    assert store(ledger, detected(a, face(0, 0, x=9), face(1, 1))) == []
    assert (ledger.rows("faces"), ledger.rows("images")) == before
    take(ledger, "augment", a)
    finish(ledger, a, b"a_aug0_buffalo.jpg")
    before = (ledger.rows("artifacts"), ledger.rows("masks"), ledger.rows("images"))
    finish(ledger, a, b"a_aug0_buffalo.jpg", b"other.jpg")
    assert (ledger.rows("artifacts"), ledger.rows("masks"), ledger.rows("images")) == before
    assert recorded_artifacts(ledger.engine, [a]) == {a: {b"a_aug0_buffalo.jpg"}}


def test_one_who_lost_its_claim_writes_nothing(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    take(ledger, "detect", a, owner=living_owner())
    assert store(ledger, detected(a, face(0, 0))) == []
    assert ledger.image(a)["status"] == "queued"
    assert ledger.rows("faces") == []


def test_a_late_failure_does_not_undo_what_is_done(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    take(ledger, "detect", a)
    store(ledger, detected(a, face(0, 0)))
    take(ledger, "augment", a)
    finish(ledger, a, b"a_aug0_buffalo.jpg")
    fail(ledger, a, "vanished", "too late")
    assert (ledger.image(a)["status"], ledger.image(a)["error_code"]) == ("done", None)


def test_an_error_text_that_no_database_takes_is_stored_readably(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    take(ledger, "detect", a)
    store(ledger, detected(a, face(0, 0)))
    take(ledger, "augment", a)
    fail(ledger, a, "unexpected", "nul \0 and \udcff" + "x" * 10_000)
    message = ledger.image(a)["error_message"]
    assert message.startswith("nul \\x00 and \\udcff")
    assert len(message) == 2000


def test_a_failed_image_is_tried_again_only_when_its_file_changed(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    ledger.set(a, status="failed", error_code="truncated", error_stage="detect", attempts=1)
    ledger.add(b"a.jpg")
    assert ledger.image(a)["status"] == "failed"
    ledger.add(b"a.jpg", size=11)
    row = ledger.image(a)
    assert (row["status"], row["error_code"], row["size"], row["attempts"]) == ("queued", None, 11, 0)


def test_a_vanished_image_that_is_back_is_tried_again(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    ledger.set(a, status="failed", error_code="vanished", error_stage="detect")
    ledger.add(b"a.jpg")
    assert ledger.image(a)["status"] == "queued"


def test_an_image_that_is_done_is_not_done_again_when_its_file_changes(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    ledger.set(a, status="done")
    ledger.add(b"a.jpg", size=11)
    assert (ledger.image(a)["status"], ledger.image(a)["size"]) == ("done", 10)


def test_the_faces_of_a_file_that_was_replaced_are_those_of_the_new_one(ledger: Ledger) -> None:
    """It changed between the stages: failed as `changed`, then found anew by the next run."""
    (a,) = ledger.add(b"a.jpg")
    take(ledger, "detect", a)
    store(ledger, detected(a, face(0, 0, x=1), face(1, 1, x=50)))
    take(ledger, "augment", a)
    fail(ledger, a, "changed", "another file")
    ledger.add(b"a.jpg", size=11)
    take(ledger, "detect", a)
    store(ledger, detected(a, face(0, 0, x=20)))
    assert [(row["x1"], row["face_index"]) for row in ledger.rows("faces")] == [(20, 0)]


def test_stems_of_a_folder_are_its_own(ledger: Ledger) -> None:
    ledger.add(b"a.jpg", b"s/b.jpg", b"s/t/c.jpg", b"s0/d.jpg", b"s-/e.jpg")
    stems = {folder: stems_in_folder(ledger.engine, ledger.job.id, folder) for folder in (b"", b"s", b"s/t")}
    assert stems == {
        b"": {b"a.jpg": b"a"},
        b"s": {b"b.jpg": b"b"},
        b"s/t": {b"c.jpg": b"c"},
    }


def test_inputs_are_recorded_once(ledger: Ledger) -> None:
    same, other = Input("directory", b"./in", b"/in"), Input("list", b"list.txt", b"/in")
    ids = add_inputs(ledger.engine, ledger.job, [other, same])
    assert ids[1] == ledger.input_id
    assert len(ledger.rows("inputs")) == 2
    job = find_job(ledger.engine, name=ledger.job.name)
    assert job is not None
    assert add_inputs(ledger.engine, job, [same, other]) == [ids[1], ids[0]]


def test_a_job_ends_once_and_runs_again_when_it_is_reopened(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    ledger.set(a, status="done")
    close_job(ledger.engine, ledger.job.id, "done")
    close_job(ledger.engine, ledger.job.id, "halted", "too late")
    job = find_job(ledger.engine, output=b"/out")
    assert job is not None
    assert (job.state, job.error) == ("done", None)
    same = reopen_job(ledger.engine, job, options=job.options, follow_symlinks=False)
    assert (same.state, ledger.image(a)["status"]) == ("running", "done")
    more = JobOptions(crop_styles=("buffalo",), n_augmentations=2)
    assert reopen_job(ledger.engine, job, options=more, follow_symlinks=False).options == more
    assert ledger.image(a)["status"] == "detected"


def test_a_removed_job_leaves_no_row(ledger: Ledger) -> None:
    (a,) = ledger.add(b"a.jpg")
    take(ledger, "detect", a)
    store(ledger, detected(a, face(0, 0)))
    take(ledger, "augment", a)
    finish(ledger, a, b"a.jpg")
    remove_job(ledger.engine, ledger.job.id)
    for table in ("jobs", "inputs", "images", "faces", "masks", "artifacts", "chunks"):
        assert ledger.rows(table) == [], table


def test_the_pace_adds_up_the_medians_of_the_latest_chunks_of_both_stages(ledger: Ledger) -> None:
    assert pace_of(ledger.engine, ledger.job.id) is None
    rows = [("detect", 10, 1.0), *(("augment", 4, 0.8 * k) for k in (50, 1, 1, 1, 2, 1, 1, 1, 1))]
    for stage, images, total in rows:
        chunk = replace(times(stage), images=images, seconds={"total": total})  # type: ignore[arg-type]
        store_detections(ledger.engine, ledger.job.id, [], [], owner="a:1:1.00", times=chunk)
    # The first chunk, fifty times as slow, is one of nine: eight are looked at.
    pace = pace_of(ledger.engine, ledger.job.id)
    assert pace is not None
    assert (pace.seconds_per_image, pace.newest) == (pytest.approx(0.1 + 0.2), 10)


def test_small_chunks_do_not_set_the_pace_beside_larger_ones(ledger: Ledger) -> None:
    for images, total in ((1, 0.4), (1, 0.4), (2, 0.3), (12, 0.6), (12, 0.6)):
        chunk = replace(times("detect"), images=images, seconds={"total": total})
        store_detections(ledger.engine, ledger.job.id, [], [], owner="a:1:1.00", times=chunk)
    pace = pace_of(ledger.engine, ledger.job.id)
    assert pace is not None
    assert pace.seconds_per_image == pytest.approx(0.05)


def test_a_report_adds_up_chunks_by_stage_and_process(ledger: Ledger) -> None:
    started = ledger.job.started_at
    chunks = [
        # stage, process, images, faces, artifacts, undrawn, begun
        ("detect", "a", 10, 7, 0, 0, started - 100),
        ("augment", "a", 10, 7, 30, 1, started - 100),
        ("detect", "b", 5, 4, 0, 0, started),
        ("augment", "b", 4, 4, 12, 2, started + 1),
        ("augment", "c", 2, 2, 6, 0, started + 2),
        # A segmentation's: of no account here.
        ("segment", "d", 9, 9, 9, 9, started + 2),
    ]
    names = ("stage", "worker", "images", "faces", "artifacts", "undrawn", "started_at")
    rows = [{"job_id": ledger.job.id, "seconds": {}, **dict(zip(names, one, strict=True))} for one in chunks]
    with ledger.engine.begin() as connection:
        connection.execute(Chunk.__table__.insert(), rows)
    a, b, c = ledger.add(b"a.jpg", b"b.jpg", b"c.jpg")
    ledger.set(a, status="failed", error_code="vanished")
    ledger.set(b, status="failed", error_code="truncated")
    ledger.set(c, status="failed", error_code="truncated")
    set_job(ledger.engine, ledger.job.id, state="done", finished_at=started + 4)
    job = find_job(ledger.engine, name=ledger.job.name)
    assert job is not None
    found = report(ledger.engine, job)
    assert (found.faces, found.artifacts, found.undrawn) == (7 + 4, 30 + 12 + 6, 1 + 2)
    # Since the last start: processes b and c; 4 + 2 images in 4 seconds.
    assert (found.workers, found.images_per_s) == (2, 1.5)
    assert (found.counts, found.failures) == (Counts(failed=3), {"truncated": 2, "vanished": 1})
