"""A folder of crops as input: matched by record, by pixels, by bytes; on SQLite and PostgreSQL."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from common.errors import UsageError
from common.faces_folder import FolderFace, SkippedFile, read_faces_folder
from common.ledger.jobs import set_job
from common.ledger.results import store_augmented, store_detections
from common.ledger.rows import ArtifactRow, AugmentedImage, DetectedImage, FaceRow
from common.options import JobOptions
from common.owner import this_owner
from common.pixel_hash import hash_pixels
from tests.unit.ledgers import Ledger, open_ledger, times
from tests.unit.records import pixels, write_crop, write_picture


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """One image `a.jpg` with two faces, and a PNG and a JPEG crop of face 1 of variant 2."""
    is_sqlite = request.param == "sqlite"
    made = open_ledger(f"sqlite:///{tmp_path}/l.db" if is_sqlite else request.getfixturevalue("postgres_url"))
    set_job(made.engine, made.job.id, options=JobOptions(seed=7).model_dump(mode="json"))
    (image,) = made.add(b"a.jpg")
    owner = this_owner()
    faces = tuple(FaceRow(k, k, "accepted", 1.5 + k, 2.0, 4.5, 6.0, 0.9, None) for k in (0, 1))
    made.set(image, claimed_by=owner)
    store_detections(
        made.engine,
        made.job.id,
        [DetectedImage(image, 40, 30, faces)],
        [],
        owner=owner,
        times=times("detect"),
    )
    jpeg = write_picture(tmp_path / "crop.jpg", 12).read_bytes()
    rows = (
        ArtifactRow(0, "crop", 2, 1, "buffalo", b"x.png", 3, "0" * 64, hash_pixels(pixels(11)[:, :, ::-1])),
        ArtifactRow(1, "crop", None, 1, "scale_shift", b"x.jpg", 3, hashlib.sha256(jpeg).hexdigest()),
    )
    made.set(image, claimed_by=owner)
    store_augmented(
        made.engine,
        made.job.id,
        [AugmentedImage(image, (), rows, {})],
        [],
        owner=owner,
        times=times("augment"),
    )
    yield made
    made.engine.dispose()


def face_ids(ledger: Ledger) -> dict[int, int]:
    return {row["face_index"]: row["id"] for row in ledger.rows("faces")}


def names(found: list[FolderFace | SkippedFile]) -> list[str]:
    return [os.fsdecode(one.relative) for one in found]


def test_without_a_database_the_records_are_what_there_is(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    write_crop(folder / "b.PNG", face_index=1, variant=3)
    write_crop(folder / "sub/a.tif", variant=None, mask=None, crop_style="scale_shift")
    write_picture(folder / "foreign.png", 5)
    write_picture(folder / "foreign.jpg", 5)
    write_crop(folder / "changed.png", face_index=-1)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("no picture")
    write_crop(folder / ".hidden.png")
    found = list(read_faces_folder(folder))
    assert names(found) == ["b.PNG", "broken.png", "changed.png", "foreign.jpg", "foreign.png", "sub/a.tif"]
    first, *skipped, last = found
    assert isinstance(first, FolderFace)
    assert isinstance(last, FolderFace)
    assert (first.face_index, first.variant, first.crop_style, first.face_id) == (1, 3, "buffalo", None)
    assert (first.width, first.height) == (12, 12)
    assert first.path == os.fsencode(os.path.realpath(folder / "b.PNG"))
    assert first.record is not None
    assert (last.variant, last.crop_style) == (None, "scale_shift")
    assert [one.reason for one in skipped if isinstance(one, SkippedFile)] == ["unknown_face"] * 4
    assert all(isinstance(one, SkippedFile) and one.message for one in skipped)


def test_records_are_matched_to_rows(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    write_crop(folder / "a.png", 1, face_index=1)
    write_crop(folder / "b.png", 2, face_index=0)
    write_crop(folder / "c.png", 3, face_index=0, box=[9.0, 9.0, 9.0, 9.0])
    write_crop(folder / "d.png", 4, relative="another.jpg")
    write_crop(folder / "e.png", 5, job=JobOptions(seed=8).key, seed=8)
    found = list(read_faces_folder(folder, ledger.engine))
    ids = face_ids(ledger)
    assert [getattr(one, "face_id", None) for one in found] == [ids[1], ids[0], None, None, None]
    assert [one.reason for one in found if isinstance(one, SkippedFile)] == ["unknown_face"] * 3


def test_a_file_without_record_is_matched_by_its_pixels_or_its_bytes(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    Image.fromarray(pixels(11)).save(folder / "packed.png", optimize=True)
    Image.fromarray(pixels(11)).save(folder / "packed.tif", compression="tiff_deflate")
    Image.fromarray(pixels(11)).save(folder / "packed.webp", lossless=True)
    write_picture(folder / "same.jpg", 12)
    Image.fromarray(pixels(12)).save(folder / "other quality.jpg", quality=30)
    Image.fromarray(pixels(11)[::-1]).save(folder / "turned.png")
    Image.fromarray(pixels(11).reshape(6, 24, 3)).save(folder / "reshaped.png")
    found = {os.fsdecode(one.relative): one for one in read_faces_folder(folder, ledger.engine)}
    known = {name for name, one in found.items() if isinstance(one, FolderFace)}
    assert known == {"packed.png", "packed.tif", "packed.webp", "same.jpg"}
    one, jpeg = found["packed.png"], found["same.jpg"]
    assert isinstance(one, FolderFace)
    assert isinstance(jpeg, FolderFace)
    assert (one.face_id, one.face_index, one.variant, one.crop_style) == (
        face_ids(ledger)[1],
        1,
        2,
        "buffalo",
    )
    assert (jpeg.face_id, jpeg.variant, jpeg.crop_style) == (face_ids(ledger)[1], None, "scale_shift")
    assert one.record is None


def test_a_file_of_many_pages_keeps_its_order(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    for number in range(600):
        write_crop(folder / f"{number:04}.png", face_index=number)
    found = list(read_faces_folder(folder))
    assert [one.face_index for one in found if isinstance(one, FolderFace)] == list(range(600))


def test_links_that_leave_the_folder_and_pipes_are_no_faces(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    outside = write_crop(tmp_path / "outside.png")
    inside = write_crop(folder / "inside.png")
    (folder / "link-out.png").symlink_to(outside)
    (folder / "link-in.png").symlink_to(inside)
    (folder / "link-folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.png")
    found = list(read_faces_folder(folder))
    assert names(found) == ["inside.png", "link-in.png", "pipe.png"]
    assert isinstance(found[2], SkippedFile)


def test_a_file_where_a_folder_is_needed_is_a_usage_error_at_the_call(tmp_path: Path) -> None:
    path = write_crop(tmp_path / "a.png")
    with pytest.raises(UsageError, match="a folder of face crops is expected, got a file"):
        read_faces_folder(path)
    with pytest.raises(UsageError, match=r"--faces .*no such folder"):
        read_faces_folder(tmp_path / "absent", flag="--faces")
