"""The ledger of segmentations: which images they take, maps by face and masker, claims. On both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from common.ledger.claims import MAX_DEATHS, claim, release
from common.ledger.images import count_open, forget_sent, mark_sent, unsent
from common.ledger.jobs import cancel_job, close_job, remove_job
from common.ledger.maps import (
    FaceMap,
    SegmentedImage,
    failed_images,
    run_totals,
    store_segmented,
    stored_maps,
)
from common.ledger.reports import count_images
from common.ledger.results import store_detections, store_failures
from common.ledger.rows import Failure
from common.ledger.segments import (
    RecordedRun,
    SegmentRequest,
    continue_run,
    find_run,
    find_work,
    open_run,
    running_run_names,
    unfinished_run,
)
from common.owner import this_owner
from common.pipeline import ChunkMessage
from tests.unit.ledgers import Ledger, dead_owner, detected, face, living_owner, open_ledger, times

REQUEST = SegmentRequest("extended", None, "missing", "frames", "", None, False, 3, 4)
MATRIX = [[0.5, 0.0, 1.0], [0.0, 0.5, 2.0]]


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    is_sqlite = request.param == "sqlite"
    made = open_ledger(f"sqlite:///{tmp_path}/l.db" if is_sqlite else request.getfixturevalue("postgres_url"))
    yield made
    made.engine.dispose()


def with_faces(ledger: Ledger, **faces: int) -> dict[str, int]:
    """Images with so many accepted faces each, and a rejected one; name -> image id."""
    ids = ledger.add(*(f"{name}.jpg".encode() for name in faces))
    found = [
        detected(image_id, *(face(k, k) for k in range(count)), face(count, None))
        for image_id, count in zip(ids, faces.values(), strict=True)
    ]
    claim(ledger.engine, ledger.job.id, "detect", ledger.message(*ids), owner=this_owner(), lease_s=60)
    store_detections(ledger.engine, ledger.job.id, found, [], owner=this_owner(), times=times("detect"))
    return dict(zip(faces, ids, strict=True))


def face_ids(ledger: Ledger, image_id: int) -> list[int]:
    rows = [row for row in ledger.rows("faces") if row["image_id"] == image_id]
    return [
        row["id"] for row in sorted(rows, key=lambda row: row["ordinal"]) if row["face_index"] is not None
    ]


def work_of(ledger: Ledger, run: RecordedRun) -> dict[int, int]:
    """Image id -> id of its row in the run."""
    rows = [row for row in ledger.rows("segment_images") if row["run_id"] == run.id]
    return {row["image_id"]: row["id"] for row in rows}


def take(ledger: Ledger, run: RecordedRun, *ids: int, owner: str | None = None):  # type: ignore[no-untyped-def]
    return claim(
        ledger.engine, run.id, "segment", ChunkMessage(run.name, ids), owner=owner or this_owner(), lease_s=60
    )


def finish(ledger: Ledger, run: RecordedRun, *images: SegmentedImage, owner: str | None = None) -> None:
    store_segmented(ledger.engine, run, images, [], owner=owner or this_owner(), times=times("segment"))


def face_map(face_id: int, content: bytes = b"map") -> FaceMap:
    return FaceMap(face_id, 128, content, MATRIX)


def test_a_segmentation_takes_the_images_with_accepted_faces(ledger: Ledger) -> None:
    ids = with_faces(ledger, one=1, none=0, two=2)
    ledger.add(b"queued.jpg")
    run = open_run(ledger.engine, ledger.job, REQUEST)
    assert set(work_of(ledger, run)) == {ids["one"], ids["two"]}
    assert (run.state, run.request, run.job.name) == ("running", REQUEST, ledger.job.name)
    totals = run_totals(ledger.engine, run)
    assert (totals.images, totals.open, totals.faces) == (2, 2, 3)
    assert find_run(ledger.engine, run.name) == run
    assert find_run(ledger.engine, "00000000") is None
    # A message cannot take a job for a segmentation, nor the other way round.
    assert find_work(ledger.engine, "segment", ledger.job.name) is None
    assert find_work(ledger.engine, "augment", run.name) is None
    assert find_work(ledger.engine, "segment", run.name) == run


def test_it_is_confined_to_the_chosen_images(ledger: Ledger) -> None:
    ids = with_faces(ledger, a=1, b=1, c=1)
    run = open_run(ledger.engine, ledger.job, REQUEST, [[ids["c"]], [], [ids["a"], ids["c"], 999_999]])
    assert set(work_of(ledger, run)) == {ids["a"], ids["c"]}


def test_the_states_of_the_job_are_left_alone(ledger: Ledger) -> None:
    ids = with_faces(ledger, a=1)
    before = ledger.rows("images"), ledger.rows("jobs")
    run = open_run(ledger.engine, ledger.job, REQUEST)
    work = work_of(ledger, run)[ids["a"]]
    take(ledger, run, work)
    finish(ledger, run, SegmentedImage(work, (face_map(face_ids(ledger, ids["a"])[0]),)))
    close_job(ledger.engine, run.id, "done", desk=run.desk)
    assert (ledger.rows("images"), ledger.rows("jobs")) == before


def test_missing_writes_only_the_face_that_has_none(ledger: Ledger) -> None:
    """Face 0 of two is segmented already: by face, never by place in a list."""
    ids = with_faces(ledger, two=2, full=1)
    first, second = face_ids(ledger, ids["two"])
    (third,) = face_ids(ledger, ids["full"])
    run = open_run(ledger.engine, ledger.job, REQUEST)
    works = work_of(ledger, run)
    take(ledger, run, *works.values())
    finish(
        ledger,
        run,
        SegmentedImage(works[ids["two"]], (face_map(first, b"old"),), left_out=1),
        SegmentedImage(works[ids["full"]], (face_map(third, b"old"),)),
    )
    close_job(ledger.engine, run.id, "done", desk=run.desk)
    again = open_run(ledger.engine, ledger.job, REQUEST)
    works = work_of(ledger, again)
    # The image whose faces all have one needs no task.
    assert unsent(ledger.engine, again.id, 10, desk=again.desk) == [("segment", [works[ids["two"]]])]
    take(ledger, again, works[ids["two"]])
    finish(
        ledger, again, SegmentedImage(works[ids["two"]], (face_map(first, b"new"), face_map(second, b"new")))
    )
    maps = stored_maps(ledger.engine, "extended", [first, second, third])
    assert {one: bytes(found.map) for one, found in maps.items()} == {
        first: b"old",
        second: b"new",
        third: b"old",
    }
    totals = run_totals(ledger.engine, again)
    assert (totals.faces, totals.updated, totals.kept, totals.left_out) == (3, 1, 2, 0)


def test_all_overwrites_and_another_masker_is_another_row(ledger: Ledger) -> None:
    ids = with_faces(ledger, a=1)
    (one,) = face_ids(ledger, ids["a"])
    for request, content in (
        (REQUEST, b"1"),
        (replace(REQUEST, masker="components"), b"2"),
        (replace(REQUEST, mode="all"), b"3"),
    ):
        run = open_run(ledger.engine, ledger.job, request)
        (work,) = work_of(ledger, run).values()
        take(ledger, run, work)
        finish(ledger, run, SegmentedImage(work, (face_map(one, content),)))
        assert run_totals(ledger.engine, run).updated == 1
    rows = {row["masker"]: bytes(row["map"]) for row in ledger.rows("segmentations")}
    assert rows == {"extended": b"3", "components": b"2"}


def test_a_chunk_that_is_stored_twice_or_by_another_changes_nothing(ledger: Ledger) -> None:
    ids = with_faces(ledger, a=1)
    (one,) = face_ids(ledger, ids["a"])
    run = open_run(ledger.engine, ledger.job, replace(REQUEST, mode="all"))
    (work,) = work_of(ledger, run).values()
    take(ledger, run, work, owner=living_owner())
    finish(ledger, run, SegmentedImage(work, (face_map(one, b"not mine"),)))
    assert ledger.rows("segmentations") == []
    finish(ledger, run, SegmentedImage(work, (face_map(one, b"mine"),)), owner=living_owner())
    finish(ledger, run, SegmentedImage(work, (face_map(one, b"late"),)), owner=living_owner())
    assert [bytes(row["map"]) for row in ledger.rows("segmentations")] == [b"mine"]
    assert take(ledger, run, work).images == []


def test_a_face_that_is_gone_meanwhile_gets_no_map(ledger: Ledger) -> None:
    ids = with_faces(ledger, a=1)
    run = open_run(ledger.engine, ledger.job, REQUEST)
    (work,) = work_of(ledger, run).values()
    take(ledger, run, work)
    finish(ledger, run, SegmentedImage(work, (face_map(999_999),), left_out=0))
    assert ledger.rows("segmentations") == []
    assert work_of(ledger, run) == {ids["a"]: work}


def test_claims_are_those_of_images(ledger: Ledger) -> None:
    ids = with_faces(ledger, a=1, b=1)
    run = open_run(ledger.engine, ledger.job, REQUEST)
    a, b = (work_of(ledger, run)[ids[name]] for name in ("a", "b"))
    claims = take(ledger, run, a, b, owner=dead_owner())
    assert [(one.id, one.relative_path, one.attempts) for one in claims.images] == [
        (a, b"a.jpg", 1),
        (b, b"b.jpg", 1),
    ]
    assert [one.face_index for one in claims.images[0].faces] == [0]
    assert take(ledger, run, a, b).alone == [a, b]
    for _ in range(MAX_DEATHS):
        assert take(ledger, run, a, owner=dead_owner()).images
    assert take(ledger, run, a).deadly == [a]
    assert failed_images(ledger.engine, run, 5)[0][:2] == (b"a.jpg", "killed-worker")
    assert take(ledger, run, b, owner=living_owner()).images
    assert take(ledger, run, b).images == []
    release(ledger.engine, [b], living_owner(), desk=run.desk)
    assert [one.id for one in take(ledger, run, b).images] == [b]
    assert count_images(ledger.engine, run.id, desk=run.desk).failed == 1
    # The job's own images have the same ids and are not touched.
    assert {row["status"] for row in ledger.rows("images")} == {"detected"}


def test_messages_of_a_job_and_of_a_segmentation_are_apart(ledger: Ledger) -> None:
    with_faces(ledger, a=1)
    run = open_run(ledger.engine, ledger.job, REQUEST)
    (work,) = work_of(ledger, run).values()
    mark_sent(ledger.engine, [work], desk=run.desk)
    assert unsent(ledger.engine, run.id, 5, desk=run.desk) == []
    assert count_open(ledger.engine, run.id, desk=run.desk) == 1
    assert forget_sent(ledger.engine, run.id, before=float("inf"), desk=run.desk) == 1
    assert unsent(ledger.engine, run.id, 5, desk=run.desk) == [("segment", [work])]


def test_a_failure_is_one_of_the_segmentation(ledger: Ledger) -> None:
    with_faces(ledger, a=1)
    run = open_run(ledger.engine, ledger.job, REQUEST)
    (work,) = work_of(ledger, run).values()
    take(ledger, run, work)
    store_failures(ledger.engine, "segment", [Failure(work, "vanished", "gone")], owner=this_owner())
    assert failed_images(ledger.engine, run, 5) == [(b"a.jpg", "vanished", "gone")]
    totals = run_totals(ledger.engine, run)
    assert (totals.failed, totals.open) == (1, 0)
    assert {row["error_code"] for row in ledger.rows("images")} == {None}


def test_an_unfinished_one_is_found_by_the_same_words(ledger: Ledger) -> None:
    with_faces(ledger, a=1)
    run = open_run(ledger.engine, ledger.job, REQUEST)
    assert unfinished_run(ledger.engine, ledger.job, REQUEST) == run
    assert unfinished_run(ledger.engine, ledger.job, replace(REQUEST, threshold=5)) is None
    close_job(ledger.engine, run.id, "interrupted", desk=run.desk)
    (work,) = work_of(ledger, run).values()
    mark_sent(ledger.engine, [work], desk=run.desk)
    assert continue_run(ledger.engine, run).state == "running"
    assert unsent(ledger.engine, run.id, 5, desk=run.desk) == [("segment", [work])]
    close_job(ledger.engine, run.id, "done", desk=run.desk)
    assert unfinished_run(ledger.engine, ledger.job, REQUEST) is None


def test_one_that_is_done_makes_room_for_the_next(ledger: Ledger) -> None:
    with_faces(ledger, a=1)
    first = open_run(ledger.engine, ledger.job, REQUEST)
    close_job(ledger.engine, first.id, "done", desk=first.desk)
    second = open_run(ledger.engine, ledger.job, REQUEST)
    assert [row["id"] for row in ledger.rows("segment_runs")] == [second.id]
    assert [row["run_id"] for row in ledger.rows("segment_images")] == [second.id]


def test_cancelling_a_job_cancels_what_segments_it(ledger: Ledger) -> None:
    with_faces(ledger, a=1)
    run = open_run(ledger.engine, ledger.job, REQUEST)
    assert running_run_names(ledger.engine) == [run.name]
    cancel_job(ledger.engine, ledger.job)
    assert running_run_names(ledger.engine) == []


def test_a_removed_job_takes_its_maps_along(ledger: Ledger) -> None:
    ids = with_faces(ledger, a=1)
    run = open_run(ledger.engine, ledger.job, REQUEST)
    (work,) = work_of(ledger, run).values()
    take(ledger, run, work)
    finish(ledger, run, SegmentedImage(work, (face_map(face_ids(ledger, ids["a"])[0]),)))
    remove_job(ledger.engine, ledger.job.id)
    for table in ("segment_runs", "segment_images", "segmentations"):
        assert ledger.rows(table) == []
