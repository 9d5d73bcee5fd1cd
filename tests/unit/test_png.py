"""Our PNG writer, read by Pillow and by libpng."""

from __future__ import annotations

import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from common import png
from common.png import write_png


@pytest.fixture(params=["isa-l", "zlib"])
def packer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways: processors that ISA-L does not know use zlib."""
    if request.param == "zlib":
        monkeypatch.setattr(png, "isal_zlib", None)
        monkeypatch.setattr(png, "crc32", zlib.crc32)


@pytest.mark.usefixtures("packer")
@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (7, 1, 3), (1, 300, 3), (33, 17), (64, 48, 3)])
def test_two_readers_see_exactly_the_pixels(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)
    data = write_png(pixels)
    picture = Image.open(io.BytesIO(data))
    picture.verify()  # every checksum
    assert picture.mode == ("L" if len(shape) == 2 else "RGB")
    wanted = pixels if len(shape) == 2 else pixels[:, :, ::-1]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), wanted)
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), pixels)


@pytest.mark.usefixtures("packer")
def test_a_picture_of_several_stripes_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png, "_STRIPE_BYTES", 1000)
    pixels = np.random.default_rng(4).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    data = write_png(pixels)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data)))[:, :, ::-1], pixels)
    assert write_png(pixels[:, ::-1][:, ::-1]) == data, "a view that is not contiguous is the same picture"


def test_a_picture_of_one_colour_is_small() -> None:
    assert len(write_png(np.full((500, 500, 3), 200, np.uint8))) < 8000
