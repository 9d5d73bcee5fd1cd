"""Rows out of crops made by hand: what is refused, what is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from common.database import engine_for, sqlite_url
from common.errors import UsageError
from common.ledger.ingest import store_crops
from common.ledger.jobs import set_job
from common.options import JobOptions, make_options
from common.schema import upgrade
from producer.ingest import Ingested, ingest
from producer.locks import output_lock
from tests.unit.records import MASK, POINTS_5, provenance, write_crop, write_picture


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    url = sqlite_url(str(tmp_path / "rows.db"))
    upgrade(url)
    return engine_for(url)


def never() -> Engine:
    pytest.fail("the database is opened before the folder is known to be good")


def rows(engine: Engine, table: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [
            dict(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY id")).mappings()
        ]


def take_in(engine: Engine, folder: Path) -> Ingested:
    return ingest(lambda: engine, str(folder))[1]


def test_rows_say_what_the_record_says(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    write_crop(folder / "sub/a_aug3_face1_buffalo.png", face_index=1, variant=3, options={"score": 0.7},
               job=JobOptions(seed=7, score=0.7).key)  # fmt: skip
    done = take_in(engine, folder)
    assert (done.crops, dict(done.skipped)) == (1, {})
    (job,), (image,), (face,), (mask,), (artifact,) = (
        rows(engine, table) for table in ("jobs", "images", "faces", "masks", "artifacts")
    )
    options = make_options(json.loads(job["options"]))
    assert (
        job["state"],
        options.score,
        options.n_augmentations,
        options.crop_styles,
        options.crop_formats,
    ) == (
        *("done", 0.7, 4, ("buffalo",)),
        ("png",),
    )
    names = ("relative_path", "stem", "written", "status", "width", "height")
    assert [image[name] for name in names] == [b"a.jpg", b"a", b"in/a.jpg", "done", 40, 30]
    assert [face[name] for name in ("ordinal", "face_index", "x1", "y2", "score")] == [1, 1, 2.5, 6.0, 0.9]
    assert json.loads(face["points_5"]) == POINTS_5
    assert json.loads(face["points_68"]) == provenance()["points_68"]
    assert [mask[name] for name in ("variant", "face_index", "x1", "y2")] == [3, 1, 1, 4]
    assert {name: mask[name] for name in MASK if name not in ("box", "polygon")} == {
        name: MASK[name] for name in MASK if name not in ("box", "polygon")
    }
    assert artifact["path"] == b"sub/a_aug3_face1_buffalo.png"
    assert (artifact["kind"], artifact["variant"], artifact["face_index"]) == ("crop", 3, 1)
    data = (folder / "sub/a_aug3_face1_buffalo.png").read_bytes()
    assert artifact["size"] == len(data)


def test_crops_that_come_later_are_added(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    write_crop(folder / "a.png", 1)
    take_in(engine, folder)
    write_crop(folder / "b.tif", 2, variant=None, mask=None, crop_style="scale_shift")
    write_crop(folder / "c.png", 3, relative="sub/c.jpg")
    added = take_in(engine, folder).added
    assert (added.images, added.faces, added.masks, added.artifacts) == (1, 1, 1, 2)
    options = make_options(json.loads(rows(engine, "jobs")[0]["options"]))
    assert (options.with_original, options.crop_styles) == (True, ("buffalo", "scale_shift"))
    assert options.crop_formats == ("png", "tif")
    assert len(rows(engine, "inputs")) == 1


def test_what_was_interrupted_is_gone_on_with(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "crops"
    for number in range(6):
        write_crop(folder / f"{number}.png", number, relative=f"{number}.jpg")
    calls = 0

    def stop_at_the_third(*words: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return store_crops(*words, **named)

    with monkeypatch.context() as patched:
        patched.setattr("producer.ingest._BATCH", 2)
        patched.setattr("producer.ingest.store_crops", stop_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            take_in(engine, folder)
    assert rows(engine, "jobs")[0]["state"] == "interrupted"
    assert len(rows(engine, "artifacts")) == 4
    assert take_in(engine, folder).added.artifacts == 2
    assert rows(engine, "jobs")[0]["state"] == "done"
    assert [row["path"] for row in rows(engine, "artifacts")] == [b"%d.png" % number for number in range(6)]
    assert sum(row["artifacts"] for row in rows(engine, "chunks")) == 6, "what `status` counts"


def test_another_source_of_the_same_name_is_told_not_mixed(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    write_crop(folder / "a.png", 1)
    write_crop(folder / "b.png", 2, image_path="elsewhere/a.jpg")
    write_crop(folder / "c.png", 3, relative="a.png", stem="a")
    damaged = write_crop(folder / "damaged.png", 4)
    data = damaged.read_bytes()
    pixels_at = data.index(b"IDAT") + 4
    damaged.write_bytes(data[:pixels_at] + bytes(100) + data[pixels_at + 100 :])
    cut = write_crop(folder / "cut.png", 5)
    cut.write_bytes(cut.read_bytes()[:-30])
    done = take_in(engine, folder)
    assert done.crops == 1
    assert dict(done.skipped) == {"other_source": 2, "unknown_face": 1, "unreadable": 1}
    assert [row["path"] for row in rows(engine, "artifacts")] == [b"a.png"]


def test_a_folder_that_describes_no_job_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    cases: dict[str, list[dict[str, Any]]] = {
        "different options": [{}, {"job": "0" * 16, "seed": 8}],
        "does not have": [{"options": {"output": "/etc"}}],
        "were changed": [{"job": "0" * 16}],
        "no face crop": [],
    }
    for words, crops in cases.items():
        folder = tmp_path / words
        write_picture(folder / "foreign.png", 1)
        for number, changes in enumerate(crops):
            write_crop(folder / f"{number}.png", number, **changes)
        with pytest.raises(UsageError, match=words) as caught:
            ingest(never, str(folder))
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="got a file"):
        ingest(never, str(tmp_path / "no face crop" / "foreign.png"))


def test_a_folder_in_use_and_a_job_that_runs_or_has_other_options_are_refused(
    engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "crops"
    crop = write_crop(folder / "a.png")
    with output_lock(str(folder).encode()), pytest.raises(UsageError, match="in use"):
        take_in(engine, folder)
    take_in(engine, folder)
    set_job(engine, 1, state="running")
    with pytest.raises(UsageError, match="is running"):
        take_in(engine, folder)
    set_job(engine, 1, state="done")
    write_crop(crop, seed=9, job=JobOptions(seed=9).key)
    with pytest.raises(UsageError, match=r"seed 7 .* seed 9"):
        take_in(engine, folder)
