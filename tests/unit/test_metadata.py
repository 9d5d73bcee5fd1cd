"""Records in PNG and TIFF files; Pillow and tifffile are the independent readers and writers."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from common.errors import ImageError
from common.metadata import (
    MAX_RECORD_BYTES,
    embed_record,
    extract_metadata,
    is_record_format,
    read_metadata,
    read_metadata_batch,
    update_record,
)
from tests.bad_images import png_chunk

RECORD: dict[str, Any] = {
    "provenance": {"image_path": "a/ü \\ \n.jpg", "box": [1.5, 2.0, 3.25, 4.0]},
    "user": {},
}
PIXELS = np.arange(30 * 20 * 3, dtype=np.uint8).reshape(30, 20, 3)
ENDINGS = [".png", ".PNG", ".tif", ".TIFF"]


def picture(ending: str, **options: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(PIXELS).save(data, "PNG" if "png" in ending.lower() else "TIFF", **options)
    return data.getvalue()


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of every chunk, with the checksums looked at."""
    found, place = [], 8
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length)[0] == zlib.crc32(kind + content)
        found.append((kind, content))
        place += 12 + length
    return found


def code_of(data: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        extract_metadata(data)
    assert "\n" not in str(caught.value)
    return caught.value.code


# --- PNG ----------------------------------------------------------------------------------------------


def test_pillow_reads_what_is_written_into_a_png() -> None:
    data = embed_record(picture(".png"), RECORD)
    with Image.open(io.BytesIO(data)) as found:
        text = found.text["maskmill"]  # type: ignore[attr-defined]
        assert np.array_equal(np.asarray(found), PIXELS)
    assert json.loads(text) == {"maskmill": 1, **RECORD}
    assert "ü" in text, "UTF-8, not escapes"


def test_the_chunk_is_one_uncompressed_itxt_before_the_first_idat() -> None:
    chunks = chunks_of(embed_record(embed_record(picture(".png"), {"user": {"n": 1}}), RECORD))
    ours = [place for place, (kind, content) in enumerate(chunks) if content.startswith(b"maskmill\0")]
    assert len(ours) == 1
    kind, content = chunks[ours[0]]
    assert kind == b"iTXt"
    # Keyword, NUL, not compressed, method 0, no language, no translated keyword.
    assert content.startswith(b"maskmill\0\0\0\0\0{")
    assert chunks[ours[0] + 1][0] == b"IDAT"
    assert b"IDAT" not in [kind for kind, _ in chunks[: ours[0]]]


def test_what_pillow_writes_is_read() -> None:
    info = PngInfo()
    info.add_itxt("maskmill", json.dumps({"maskmill": 1, **RECORD}))
    assert extract_metadata(picture(".png", pnginfo=info)).record == RECORD
    info = PngInfo()
    info.add_itxt("maskmill", json.dumps({"maskmill": 1, **RECORD}), zip=True)
    assert extract_metadata(picture(".png", pnginfo=info)).record == RECORD


def test_foreign_chunks_survive_in_their_order_and_pixels_stay_the_same_bytes() -> None:
    info = PngInfo()
    info.add_text("Author", "someone")
    info.add_itxt("maskmill-other", "not ours")
    info.add(b"prVt", b"private")
    before = picture(".png", pnginfo=info, dpi=(300, 300)) + b"behind the end"
    assert extract_metadata(before).record is None
    after = embed_record(before, RECORD)
    assert after.endswith(b"behind the end")
    cut = len(b"behind the end")
    kept = [chunk for chunk in chunks_of(after[:-cut]) if not chunk[1].startswith(b"maskmill\0")]
    assert kept == chunks_of(before[:-cut])


def test_a_record_behind_the_pixels_is_found_and_moved_before_them() -> None:
    plain = picture(".png")
    text = b"maskmill\0\0\0\0\0" + json.dumps({"maskmill": 1, "user": {"n": 1}}).encode()
    late = plain[:-12] + png_chunk(b"iTXt", text) + plain[-12:]
    assert extract_metadata(late).record == {"user": {"n": 1}}
    assert chunks_of(embed_record(late, RECORD)) == chunks_of(embed_record(plain, RECORD))


# --- TIFF ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_tifffile_and_pillow_read_what_is_written_into_a_tiff(byteorder: Any, bigtiff: bool) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(
        stream, PIXELS, photometric="rgb", byteorder=byteorder, bigtiff=bigtiff, metadata=None, software="x"
    )
    data = embed_record(stream.getvalue(), RECORD)
    with tifffile.TiffFile(io.BytesIO(data)) as found:
        page = found.pages.first
        assert json.loads(page.description) == {"maskmill": 1, **RECORD}
        assert page.description.isascii()
        assert page.tags["Software"].value == "x"
        assert [tag.code for tag in page.tags] == sorted(tag.code for tag in page.tags)
        assert np.array_equal(page.asarray(), PIXELS)
    if not (bigtiff and byteorder == ">"):  # which Pillow does not read
        with Image.open(io.BytesIO(data)) as read:
            assert json.loads(read.tag_v2[270]) == {"maskmill": 1, **RECORD}  # type: ignore[attr-defined]
            assert np.array_equal(np.asarray(read), PIXELS)
    assert extract_metadata(data) == extract_metadata(embed_record(data, RECORD))
    assert (extract_metadata(data).width, extract_metadata(data).height) == (20, 30)


def test_what_tifffile_and_pillow_write_is_read() -> None:
    text = json.dumps({"maskmill": 1, **RECORD})
    stream = io.BytesIO()
    tifffile.imwrite(stream, PIXELS, photometric="rgb", description=text, metadata=None)
    assert extract_metadata(stream.getvalue()).record == RECORD
    assert extract_metadata(picture(".tif", tiffinfo={270: text})).record == RECORD


def test_all_pages_and_tags_of_a_tiff_survive_and_repeated_updates_do_not_make_it_grow() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for level in (1, 2, 3):
            writer.write(PIXELS // level, photometric="rgb", metadata=None, compression="zlib")
    first = embed_record(stream.getvalue(), RECORD)
    second = embed_record(embed_record(first, {"user": {"long": "x" * 5000}}), RECORD)
    assert second == first
    with tifffile.TiffFile(io.BytesIO(first)) as found:
        assert [np.array_equal(page.asarray(), PIXELS // (k + 1)) for k, page in enumerate(found.pages)] == [
            True
        ] * 3
    offset = 8
    assert first[offset : len(stream.getvalue())] == stream.getvalue()[offset:], "pixels are not moved"


def test_a_description_of_another_program_is_left_alone() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, PIXELS, photometric="rgb", description="taken by hand", metadata=None)
    assert extract_metadata(stream.getvalue()).record is None
    with pytest.raises(ImageError, match="taken by hand"):
        embed_record(stream.getvalue(), RECORD)


# --- every format -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jpg", "bmp", "webp"])
def test_other_formats_show_their_size_and_refuse_a_record(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(PIXELS).save(path)
    assert (read_metadata(path).width, read_metadata(path).height, read_metadata(path).record) == (
        20,
        30,
        None,
    )
    before = path.read_bytes()
    with pytest.raises(ImageError, match="PNG or TIFF"):
        update_record(path, lambda _: RECORD)
    assert path.read_bytes() == before
    assert not is_record_format(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_update_adds_and_changes_and_keeps_mode_links_and_pixels(ending: str, tmp_path: Path) -> None:
    real, link = tmp_path / f"real{ending}", tmp_path / f"link{ending}"
    real.write_bytes(picture(ending))
    real.chmod(0o640)
    link.symlink_to(real)
    assert update_record(link, lambda found: {"user": {"was": found}}) == {"user": {"was": None}}
    update_record(link, lambda found: {**(found or {}), "more": [1, 2]})
    assert read_metadata(real).record == {"user": {"was": None}, "more": [1, 2]}
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    with Image.open(real) as found:
        assert np.array_equal(np.asarray(found), PIXELS)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([real.name, link.name])
    assert is_record_format(real)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_an_upright_size_is_that_of_the_decoded_picture(ending: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(ending, exif=exif)
    assert (extract_metadata(turned).width, extract_metadata(turned).height) == (30, 20)


@pytest.mark.parametrize(
    "record",
    [{"a": float("nan")}, {"a": b"x"}, {"a": "\ud800"}, {"a": "x" * MAX_RECORD_BYTES}, {"maskmill": 2}],
)
def test_what_is_no_record_is_refused_before_anything_is_written(
    record: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture(".png"))
    with pytest.raises(ValueError):
        update_record(path, lambda _: record)
    assert path.read_bytes() == picture(".png")
    assert os.listdir(tmp_path) == ["a.png"]


def test_the_largest_record_is_written_and_read() -> None:
    largest = {"user": "x" * (MAX_RECORD_BYTES - len('{"maskmill":1,"user":""}'))}
    for ending in (".png", ".tif"):
        assert extract_metadata(embed_record(picture(ending), largest)).record == largest


# --- hostile files ------------------------------------------------------------------------------------


def png_with(*chunks: bytes) -> bytes:
    plain = picture(".png")
    return plain[:33] + b"".join(chunks) + plain[33:]


def ours(text: bytes) -> bytes:
    return png_chunk(b"iTXt", b"maskmill\0\0\0\0\0" + text)


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("no content", b"", "empty"),
        ("a chunk of 2 GiB", png_with(struct.pack(">I4s", 2**31 - 1, b"teXt")), "truncated"),
        ("no end", picture(".png")[:-12], "truncated"),
        ("a wrong checksum", png_with(ours(b"{}")[:-1] + b"?"), "unreadable"),
        ("no JSON", png_with(ours(b"{'a': 1}")), "unreadable"),
        ("not a number", png_with(ours(b'{"maskmill":1,"a":NaN}')), "unreadable"),
        ("deep lists", png_with(ours(b"[" * 200_000)), "unreadable"),
        ("a long number", png_with(ours(b'{"maskmill":1,"a":' + b"9" * 10_000 + b"}")), "unreadable"),
        ("no UTF-8", png_with(ours(b"\xff")), "unreadable"),
        ("another schema", png_with(ours(b'{"maskmill":2}')), "unreadable"),
        ("no schema", png_with(ours(b"{}")), "unreadable"),
        ("a list", png_with(ours(b"[1]")), "unreadable"),
        ("incomplete fields", png_with(png_chunk(b"iTXt", b"maskmill\0\0")), "unreadable"),
        ("too long", png_with(ours(b" " * (2 * MAX_RECORD_BYTES))), "too-large"),
        (
            "a bomb under our name",
            png_with(png_chunk(b"iTXt", b"maskmill\0\1\0\0\0" + zlib.compress(b" " * 10**8))),
            "too-large",
        ),
        ("a TIFF without directory", b"II*\0\x08" + bytes(12), "unreadable"),
        ("a TIFF that ends", b"II*\0\xff\xff\xff\xff", "truncated"),
        ("a TIFF of 8 bytes", b"MM\0+\0\x08\0\0", "truncated"),
        ("a BigTIFF of endless tags", b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**60), "unreadable"),
    ],
)
def test_a_hostile_file_ends_with_an_error(name: str, data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_foreign_bombs_are_passed_over_unread() -> None:
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b" " * 10**8))
    broken = png_chunk(b"tEXt", b"Comment\0x")[:-1] + b"?"
    data = png_with(bomb, broken)
    assert extract_metadata(data).record is None
    written = embed_record(data, RECORD)
    assert extract_metadata(written).record == RECORD
    assert bomb + broken in written


def test_a_file_of_chunks_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.png_chunks.MAX_CHUNKS", 1000)
    assert code_of(png_with(png_chunk(b"tEXt", b"") * 2000)) == "unreadable"


def test_a_huge_file_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with open(path, "wb") as stream:
        stream.write(b"\xff\xd8\xff")
        stream.truncate(1 << 40)  # a sparse terabyte
    with pytest.raises(ImageError) as caught:
        read_metadata(path)
    assert caught.value.code == "too-large"


# --- many files ---------------------------------------------------------------------------------------


def test_a_batch_answers_for_every_file_and_errors_stop_none(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(100)]
    for number, path in enumerate(paths):
        path.write_bytes(embed_record(picture(".png"), {"user": {"n": number}}))
    paths[7].write_bytes(b"no picture")
    os.mkfifo(tmp_path / "pipe.png")
    given = [*paths, tmp_path / "absent.png", tmp_path / "pipe.png", paths[3]]
    answers = dict(read_metadata_batch(iter(given), threads=3))
    assert sorted(answers) == list(range(len(given)))
    codes = {number: one.code for number, one in answers.items() if isinstance(one, ImageError)}
    assert codes == {7: "unreadable", 100: "vanished", 101: "not-a-file"}
    for number in (*range(7), *range(8, 100)):
        assert answers[number].record == {"user": {"n": number}}  # type: ignore[union-attr]
    assert answers[102] == answers[3]


def test_a_batch_yields_as_files_complete_and_can_be_left_early(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture(".png"))
    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield path

    batch = read_metadata_batch(endless(), threads=2)
    assert len([next(batch) for _ in range(20)]) == 20
    batch.close()  # type: ignore[attr-defined]
    assert taken < 100


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not here")
@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_exiftool_finds_no_fault(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(embed_record(picture(ending), RECORD))
    answer = subprocess.run(["exiftool", "-validate", "-warning", "-a", path], capture_output=True, text=True)
    assert "Warning" not in answer.stdout + answer.stderr
