"""Pictures from files; Pillow and hashlib are the independent readers."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import ImageError, UsageError
from common.metadata import embed_record
from common.pixel_hash import hash_pixels
from common.reading import read_batch, read_image, read_picture, read_pictures, stack

PIXELS = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)


def save(path: Path, pixels: np.ndarray = PIXELS, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def test_a_picture_is_three_channels_of_blue_green_red(tmp_path: Path) -> None:
    assert np.array_equal(read_image(save(tmp_path / "a.png")), PIXELS[:, :, ::-1])
    grey = read_image(save(tmp_path / "grey.png", PIXELS[:, :, 0]))
    assert np.array_equal(grey, np.dstack([PIXELS[:, :, 0]] * 3))


def test_an_all_black_picture_is_a_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "black.png", np.zeros((5, 7, 3), np.uint8))
    image = read_image(path, on_error="log")
    assert image is not None
    assert image.shape == (5, 7, 3)
    assert not image.any()


def test_what_cannot_be_read_raises_or_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    for path, code in ((bad, "unreadable"), (tmp_path / "absent.png", "vanished")):
        with pytest.raises(ImageError) as caught:
            read_image(path)
        assert caught.value.code == code
        with caplog.at_level(logging.WARNING):
            assert read_image(path, on_error="log") is None
            assert read_picture(path, with_hash=True, on_error="log") is None
        assert caplog.records[-1].getMessage().startswith(f"{path} is left out: {code}: ")


def test_the_hash_is_sha1_of_shape_and_decoded_pixels(tmp_path: Path) -> None:
    picture = read_picture(save(tmp_path / "a.png"), with_hash=True)
    bgr = np.ascontiguousarray(PIXELS[:, :, ::-1])
    assert picture.pixel_hash == hashlib.sha1(b"6x4x3:" + bgr.tobytes()).hexdigest()
    assert picture.file_sha256 == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert picture.file_size == (tmp_path / "a.png").stat().st_size
    # The same bytes of pixels in another shape, the same pixels in another file.
    assert hash_pixels(bgr) != hash_pixels(bgr.reshape(4, 6, 3))
    packed = read_picture(save(tmp_path / "b.tif", compression="tiff_lzw"), with_hash=True)
    assert packed.pixel_hash == picture.pixel_hash
    assert packed.file_sha256 != picture.file_sha256
    assert hash_pixels(bgr[:, ::-1]) == hash_pixels(np.ascontiguousarray(bgr[:, ::-1])), "a view is enough"
    assert read_picture(tmp_path / "a.png").pixel_hash is None


def test_metadata_come_with_the_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png")
    path.write_bytes(embed_record(path.read_bytes(), {"user": {"n": 1}}))
    metadata = read_picture(path, with_metadata=True).metadata
    assert metadata is not None
    assert (metadata.format, metadata.width, metadata.height, metadata.record) == (
        "PNG",
        4,
        6,
        {"user": {"n": 1}},
    )
    assert read_picture(path).metadata is None


def test_a_batch_has_the_order_of_the_paths_also_when_one_repeats(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{n}.png", np.full((3, 5, 3), n, np.uint8)) for n in range(40)]
    given = [*reversed(paths), paths[3], paths[3]]
    batch = read_batch(given, threads=4)
    assert batch.shape == (42, 3, 5, 3)
    assert batch[:, 0, 0, 0].tolist() == [*reversed(range(40)), 3, 3]
    assert [picture.path for picture in read_pictures(given)] == [os.fsencode(path) for path in given]


def test_unequal_sizes_are_named(tmp_path: Path) -> None:
    one, other = save(tmp_path / "one.png"), save(tmp_path / "other.png", PIXELS[:5])
    with pytest.raises(UsageError, match=r"one\.png of 4 x 6 and .*other\.png of 4 x 5"):
        read_batch([one, one, other])
    with pytest.raises(UsageError, match="at least one"):
        stack([])


def test_the_first_bad_path_of_a_batch_is_the_error(tmp_path: Path) -> None:
    good = save(tmp_path / "good.png")
    with pytest.raises(ImageError, match="first"):
        read_batch([good, tmp_path / "first.png", tmp_path / "second.png", good])
