"""Writing in the background; Pillow is the independent reader."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.background_saver import BackgroundSaver
from common.errors import ImageError, UnsavedError, UsageError
from common.metadata import read_metadata

PIXELS = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_pictures_and_bytes_are_written_where_they_belong(tmp_path: Path) -> None:
    with BackgroundSaver(tmp_path / "out") as saver:
        saver.save("a.png", PIXELS, record={"user": {"n": 1}})
        saver.save(b"b.jpg", PIXELS, "sub/folder")
        saver.save("c.bin", b"as they are", Path("sub"))
        for number in range(200):
            saver.save(f"{number}.bmp", np.full((2, 2, 3), number, np.uint8), "many")
    assert (tmp_path / "out/sub/c.bin").read_bytes() == b"as they are"
    with Image.open(tmp_path / "out/a.png") as found:
        assert np.array_equal(np.asarray(found)[:, :, ::-1], PIXELS)
    assert read_metadata(tmp_path / "out/a.png").record == {"user": {"n": 1}}
    with Image.open(tmp_path / "out/sub/folder/b.jpg") as found:
        assert (found.format, found.size) == ("JPEG", (4, 6))
    for number in range(200):
        with Image.open(tmp_path / f"out/many/{number}.bmp") as found:
            assert found.getpixel((0, 0)) == (number, number, number)
    assert len(files(tmp_path / "out")) == 203, "no temporary file is left"


def test_a_folder_in_the_name_is_dropped(tmp_path: Path) -> None:
    with BackgroundSaver(tmp_path / "out") as saver:
        saver.save("/etc/a.png", PIXELS)
        saver.save("../../b.png", PIXELS, "sub")
    assert files(tmp_path) == ["out/a.png", "out/sub/b.png"]


@pytest.mark.parametrize("name", ["", "folder/", "..", "a/..", ".", "a\0.png"])
def test_a_name_that_is_none_is_refused_at_once(name: str, tmp_path: Path) -> None:
    with BackgroundSaver(tmp_path) as saver, pytest.raises(UsageError):
        saver.save(name, PIXELS)


@pytest.mark.parametrize("sub_folder", ["/etc", "..", "a/../..", "../a", "a\0b"])
def test_a_sub_folder_that_leads_away_is_refused_at_once(sub_folder: str, tmp_path: Path) -> None:
    with BackgroundSaver(tmp_path) as saver, pytest.raises(UsageError):
        saver.save("a.png", PIXELS, sub_folder)


def test_a_link_that_leads_away_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/link").symlink_to(tmp_path)
    saver = BackgroundSaver(tmp_path / "out")
    saver.save("a.png", PIXELS, "link")
    with pytest.raises(UnsavedError, match="inside the output"):
        saver.close()
    assert files(tmp_path) == []


def test_close_waits_and_tells_every_failure_and_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / "taken.png").mkdir()
    saver = BackgroundSaver(tmp_path)
    saver.save("good.png", PIXELS)
    saver.save("taken.png", PIXELS)
    saver.save("a.gif", PIXELS)
    saver.save("no-picture.png", PIXELS.astype(np.float32))
    saver.save("b.jpg", PIXELS, record={"user": {}})
    with pytest.raises(UnsavedError, match=r"^4 files could not be saved") as caught:
        saver.close()
    by_name = {os.path.basename(path).decode(): error for path, error in caught.value.failures}
    assert sorted(by_name) == ["a.gif", "b.jpg", "no-picture.png", "taken.png"]
    assert isinstance(by_name["taken.png"], ImageError)
    assert (tmp_path / "good.png").is_file()
    assert saver.failures == caught.value.failures
    with pytest.raises(ValueError, match="closed"):
        saver.save("late.png", PIXELS)


def test_the_caller_may_change_the_array_and_the_last_of_a_name_stays(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    with BackgroundSaver(tmp_path, threads=4) as saver:
        for value in range(1, 101):
            pixels[:] = value
            saver.save("a.png", pixels)
    with Image.open(tmp_path / "a.png") as found:
        assert set(np.asarray(found).ravel()) == {100}


def test_save_returns_while_nothing_is_written_yet_until_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(
        "common.background_saver.encode",
        lambda *_, **__: b"x" if go_on.wait(240) else pytest.fail("forgotten"),
    )
    saver = BackgroundSaver(tmp_path, max_waiting=5)
    for number in range(5):
        saver.save(f"{number}.png", PIXELS)
    assert files(tmp_path) == []
    sixth = threading.Thread(target=saver.save, args=("5.png", PIXELS))
    sixth.start()
    sixth.join(0.2)
    assert sixth.is_alive(), "it waits for room"
    go_on.set()
    sixth.join(240)
    saver.close()
    assert len(files(tmp_path)) == 6


def test_an_exception_in_the_body_is_not_hidden_by_failures(tmp_path: Path) -> None:
    with pytest.raises(KeyError), BackgroundSaver(tmp_path) as saver:
        saver.save("a.gif", PIXELS)
        raise KeyError
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("maskmill-saver")]


def test_an_error_that_nobody_foresaw_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr("common.background_saver.encode", fail)
    saver = BackgroundSaver(tmp_path)
    saver.save("a.png", PIXELS)
    with pytest.raises(ZeroDivisionError):
        saver.close()
