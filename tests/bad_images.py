"""A corpus of input files as the world has them: broken, hostile, odd and merely rare.

`CORPUS` is the table; `write_corpus` writes it into a folder. Pictures are small and made here; deep PNGs
are built by hand, so that their bytes do not come from a library under test.
"""

# Paths are bytes, which pathlib refuses.

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from common.errors import ImageErrorCode

Writer = Callable[[bytes], None]


class Entry(NamedTuple):
    """One file of the corpus.

    Attributes:
        file_name: bytes, no folder.
        write: makes the file (or pipe, link, folder) at the path given.
        code: the error it must end with; None when it is a picture that must be read. Root reads files
            without permission: there `forbidden` does not happen.
    """

    file_name: bytes
    write: Writer
    code: ImageErrorCode | None


def photograph(width: int = 64, height: int = 48) -> Image.Image:
    """Make a smooth RGB picture with a bright dot in the upper left, so that turning it is seen."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).integers(0, 12, (height, width, 3))
    rgb = np.stack([x * 200 // width, y * 200 // height, (x + y) % 200], axis=-1) + noise
    rgb[: height // 6, : width // 6] = (250, 240, 20)
    return Image.fromarray(rgb.astype(np.uint8))


def encoded(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    """Encode with Pillow."""
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes, *, crc_error: int = 0) -> bytes:
    """Build one PNG chunk; `crc_error` is added into its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ crc_error)


def png_by_hand(
    samples: np.ndarray, *, depth: int, colour_type: int, extra: bytes = b"", behind: bytes = b""
) -> bytes:
    """Build a PNG from samples of 8 or 16 bits, (H, W) or (H, W, C).

    Args:
        samples: integers in the range of the depth.
        depth: 8 or 16.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.
        extra: chunks between the header and the pixels.
        behind: chunks between the pixels and the end.
    """
    height, width = samples.shape[:2]
    big_endian = samples.astype(">u2" if depth == 16 else "u1")
    rows = b"".join(b"\0" + big_endian[y].tobytes() for y in range(height))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)),
            extra,
            png_chunk(b"IDAT", zlib.compress(rows)),
            behind,
            png_chunk(b"IEND", b""),
        ]
    )


def png_bomb(side: int = 20_000) -> bytes:
    """Build a black RGB PNG of side x side: 400 megapixels in 1.2 megabytes, within a millisecond.

    One compressed row is repeated: a full flush makes it independent of what stands before it. The
    Adler-32 sum of n zero bytes is (n mod 65521) << 16 | 1.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    row = packer.compress(bytes(1 + 3 * side)) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = side * (1 + 3 * side)
    body = b"\x78\xda" + row * side + b"\x03\x00" + struct.pack(">I", (zeros % 65521) << 16 | 1)
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    )


def jpeg_claiming(side: int) -> bytes:
    """Make a small JPEG whose header claims to be side x side."""
    data = bytearray(encoded(photograph(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def content(data: bytes) -> Writer:
    """Write these bytes."""

    def write(path: bytes) -> None:
        with open(path, "wb") as stream:
            stream.write(data)

    return write


def _lazily(make: Callable[[], bytes]) -> Writer:
    return lambda path: content(make())(path)


def _unreadable_file(path: bytes) -> None:
    content(encoded(photograph(), "JPEG"))(path)
    os.chmod(path, 0)


def _loop_of_links(path: bytes) -> None:
    other = path + b".other"
    os.symlink(os.path.basename(other), path)
    os.symlink(os.path.basename(path), other)


def _damaged_png() -> bytes:
    data = bytearray(encoded(photograph(), "PNG"))
    data[data.index(b"IDAT") + 40] ^= 0xFF
    return bytes(data)


def _animation(file_format: str, **options: Any) -> bytes:
    frames = [Image.new("RGB", (20, 16), colour) for colour in ("#ff0000", "#00ff00", "#0000ff")]
    return encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)


def _with_alpha(mode: str) -> Image.Image:
    picture = photograph().convert("RGBA")
    picture.putalpha(picture.getchannel("R"))
    return picture.convert(mode)


def _build() -> dict[str, Entry]:
    jpeg = encoded(photograph(), "JPEG", quality=95)
    png = encoded(photograph(), "PNG")
    rng = np.random.default_rng(3)
    corpus: dict[str, Entry] = {}

    def add(name: str, file_name: bytes, write: Writer, code: ImageErrorCode | None = None) -> None:
        corpus[name] = Entry(file_name, write, code)

    # Broken
    for percent in range(10, 100, 10):
        cut = jpeg[: len(jpeg) * percent // 100]
        add(f"jpeg cut at {percent} %", b"cut%d.jpg" % percent, content(cut), "truncated")
    add("jpeg without end marker", b"no_eoi.jpg", content(jpeg[:-2]), "truncated")
    add("png cut in half", b"cut.png", content(png[: len(png) // 2]), "truncated")
    add("png without end", b"no_iend.png", content(png[:-12]), "truncated")
    add("png header only", b"header.png", content(png[:33]), "truncated")
    add("jpeg header only", b"header.jpg", content(jpeg[:120]), "truncated")
    add("webp cut in half", b"cut.webp", _lazily(lambda: _half(encoded(photograph(), "WEBP"))), "truncated")
    add("bmp cut in half", b"cut.bmp", _lazily(lambda: _half(encoded(photograph(), "BMP"))), "truncated")
    add("tiff cut in half", b"cut.tif", _lazily(lambda: _half(encoded(photograph(), "TIFF"))), "truncated")
    add("png with damaged pixels", b"damaged.png", _lazily(_damaged_png), "unreadable")
    crc = len(png) - 16  # of the last IDAT: four bytes of checksum, then the twelve of IEND
    bad_crc = png[:crc] + bytes([png[crc] ^ 1]) + png[crc + 1 :]
    add("png with a wrong checksum", b"crc.png", content(bad_crc), "unreadable")
    add("no byte", b"zero.jpg", content(b""), "empty")
    add("one byte", b"one.jpg", content(b"\xff"), "unreadable")
    add("text", b"text.jpg", content(b"this is no picture\n" * 20), "unreadable")
    add("an unknown format", b"gif.jpg", _lazily(lambda: encoded(photograph(), "GIF")), "unreadable")
    # Hostile
    add("png bomb", b"bomb.png", _lazily(png_bomb), "too-large")
    add("jpeg claiming 65500 squared", b"claims.jpg", content(jpeg_claiming(65500)), "too-large")
    # Not files
    add("directory", b"directory.jpg", os.mkdir, "not-a-file")
    add("pipe", b"pipe.jpg", os.mkfifo, "not-a-file")
    add("dangling link", b"dangling.jpg", lambda path: os.symlink(b"is-not-there.jpg", path), "vanished")
    add("loop of links", b"loop.jpg", _loop_of_links, "unreadable")
    add("file without permission", b"forbidden.jpg", _unreadable_file, "forbidden")
    # Rare, and to be read
    grey16 = rng.integers(0, 65536, (6, 5))
    rgb16 = rng.integers(0, 65536, (6, 5, 3))
    rgba16 = rng.integers(0, 65536, (6, 5, 4))
    add("16-bit grey png", b"grey16.png", content(png_by_hand(grey16, depth=16, colour_type=0)))
    add("16-bit png", b"rgb16.png", content(png_by_hand(rgb16, depth=16, colour_type=2)))
    add("16-bit png with alpha", b"rgba16.png", content(png_by_hand(rgba16, depth=16, colour_type=6)))
    add("png with alpha", b"rgba.png", _lazily(lambda: encoded(_with_alpha("RGBA"), "PNG")))
    add("grey png with alpha", b"la.png", _lazily(lambda: encoded(_with_alpha("LA"), "PNG")))
    add("webp with alpha", b"rgba.webp", _lazily(lambda: encoded(_with_alpha("RGBA"), "WEBP", lossless=True)))
    add("tiff with alpha", b"rgba.tif", _lazily(lambda: encoded(_with_alpha("RGBA"), "TIFF")))
    palette = photograph().convert("P")
    add("palette", b"palette.png", _lazily(lambda: encoded(palette, "PNG")))
    add("palette with transparency", b"trns.png", _lazily(lambda: encoded(palette, "PNG", transparency=3)))
    add("one bit", b"bit.png", _lazily(lambda: encoded(photograph().convert("1"), "PNG")))
    add("grey jpeg", b"grey.jpg", _lazily(lambda: encoded(photograph().convert("L"), "JPEG")))
    add("cmyk jpeg", b"cmyk.jpg", _lazily(lambda: encoded(photograph().convert("CMYK"), "JPEG")))
    add("cmyk tiff", b"cmyk.tif", _lazily(lambda: encoded(photograph().convert("CMYK"), "TIFF")))
    add(
        "progressive jpeg",
        b"progressive.jpg",
        _lazily(lambda: encoded(photograph(), "JPEG", progressive=True)),
    )
    add("animated webp", b"animated.webp", _lazily(lambda: _animation("WEBP", lossless=True)))
    add("animated png", b"animated.png", _lazily(lambda: _animation("PNG")))
    add("tiff of three pages", b"pages.tif", _lazily(lambda: _animation("TIFF")))
    add("one pixel", b"pixel.png", _lazily(lambda: encoded(Image.new("RGB", (1, 1), "#123456"), "PNG")))
    add("very wide", b"wide.png", _lazily(lambda: encoded(Image.new("RGB", (30_000, 10)), "PNG")))
    add("all black", b"black.jpg", _lazily(lambda: encoded(Image.new("RGB", (40, 30)), "JPEG")))
    add("png named jpg", b"png.jpg", content(png))
    add("jpeg with bytes behind it", b"tail.jpg", content(jpeg + b"more" * 50))
    add("name in capitals", b"CAPITALS.JPG", content(jpeg))
    # Odd names
    add("name that is not utf-8", b"caf\xe9_\xff.jpg", content(jpeg))
    add("name with a newline", b"new\nline.jpg", content(jpeg))
    add("name with quotes", b'"quo\'tes",.jpg', content(jpeg))
    add("name with a backslash", b"back\\x41slash.jpg", content(jpeg))
    add("name with an emoji", "face_\N{GRINNING FACE}.jpg".encode(), content(jpeg))
    add("name of 255 bytes", b"n" * 251 + b".jpg", content(jpeg))
    return corpus


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


CORPUS: dict[str, Entry] = _build()


def write_corpus(folder: bytes) -> dict[str, bytes]:
    """Write the whole corpus into a folder, which must exist.

    Returns:
        The path of each file by its name in `CORPUS`. A file system that refuses a name (macOS and names
        that are not UTF-8) leaves that entry out.
    """
    paths: dict[str, bytes] = {}
    for name, entry in CORPUS.items():
        path = os.path.join(folder, entry.file_name)
        try:
            entry.write(path)
        except OSError:
            continue
        paths[name] = path
    return paths
