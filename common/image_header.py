"""Looks at the header of a picture without decoding a pixel."""

from __future__ import annotations

import io
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from common.errors import ImageError
from common.jpeg_compression import JpegCompression, read_compression
from common.orientation import exif_orientation
from common.truncation import is_cut

# MPO (two JPEGs in one file) is opened by the JPEG plugin; asking for it by name is a KeyError in Pillow 13.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")

MAX_PIXELS = 200_000_000
"""Largest width times height that is decoded: 600 MB of BGR pixels."""

MAX_FRAMES_COUNTED = 100
"""Pages of a TIFF are not counted further: Pillow needs quadratic time for a file of a million empty ones."""

# Everything that Pillow raises on purpose or by accident for bytes that are no picture.
PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    struct.error,
)

# The limit is ours (MAX_PIXELS): Pillow's own warns at 89 and raises at 179 megapixels.
Image.MAX_IMAGE_PIXELS = None
_warnings_lock = threading.Lock()


@dataclass(frozen=True)
class ImageHeader:
    """What the header of a picture says.

    Attributes:
        format: `JPEG`, `MPO`, `PNG`, `BMP`, `WEBP` or `TIFF`, by content.
        width: pixels of the upright picture, orientation applied.
        height: pixels of the upright picture.
        mode: Pillow's mode of the first frame as stored, such as `RGB`, `LA`, `I;16`, `CMYK`.
        bits: per sample as stored, 1 to 64.
        transparent: some pixels may be seen through (alpha channel or transparent colour).
        frames: pictures in the file; at most `MAX_FRAMES_COUNTED`.
        orientation: EXIF orientation, 1 (upright) to 8.
        compression: of a JPEG whose pixels show it; else None.
    """

    format: str
    width: int
    height: int
    mode: str
    bits: int
    transparent: bool
    frames: int
    orientation: int
    compression: JpegCompression | None


def probe(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """Read the header of a picture; its pixels are not decoded.

    Args:
        data: the whole file.
        max_pixels: the largest width times height that is accepted.

    Raises:
        ImageError: `empty`, `unreadable` (no picture of a known format), `truncated` (ends inside the
            header), `too-large`.
    """
    with open_picture(data) as picture:
        width, height = picture.size
        if width * height > max_pixels:
            raise ImageError(
                "too-large", f"image must have at most {max_pixels} pixels, got {width} x {height}"
            )
        orientation = _orientation(picture, data)
        if orientation >= 5 and picture.format != "TIFF":  # Pillow's size of a TIFF is upright already
            width, height = height, width
        return ImageHeader(
            format=str(picture.format),
            width=width,
            height=height,
            mode=picture.mode,
            bits=_bits(picture, data),
            transparent="transparency" in picture.info or picture.mode in ("LA", "RGBA", "PA", "La", "RGBa"),
            frames=_frames(picture),
            orientation=orientation,
            compression=read_compression(picture, orientation),
        )


@contextmanager
def quietly() -> Iterator[None]:
    """Silence Pillow's warnings about broken metadata, which does not matter here; for short calls.

    The lock is for Python < 3.14, where two threads inside `catch_warnings` can leave the filters of one
    behind.
    """
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def open_picture(data: bytes) -> Iterator[Image.Image]:
    """Open a picture with Pillow, lazily; its errors, in the body too, become `ImageError`.

    Raises:
        ImageError: `empty`, `truncated`, `unreadable`, `out-of-memory`.
    """
    if not data:
        raise ImageError("empty", "image must have content, got a file of 0 bytes")
    try:
        with quietly():
            picture = Image.open(io.BytesIO(data), formats=FORMATS)
        with picture:
            yield picture
    except MemoryError as exc:
        raise ImageError("out-of-memory", "the picture does not fit into memory") from exc
    except PILLOW_ERRORS as exc:
        raise broken(data, str(exc)) from exc


def broken(data: bytes, reason: str) -> ImageError:
    """Name the error of data that could not be read: `truncated` when it is cut short, else `unreadable`."""
    # libtiff and Pillow know of missing strips, which the skeleton of the file does not show.
    if is_cut(data) or "truncated" in reason:
        return ImageError("truncated", f"image must be complete, got {len(data)} bytes of a longer file")
    if "cannot identify" in reason:  # Pillow's sentence ends with the address of a buffer
        reason = f"{len(data)} bytes beginning with {data[:8].hex(' ')}"
    return ImageError("unreadable", f"image must be a readable {', '.join(FORMATS)}, got {reason[:200]}")


def _orientation(picture: Image.Image, data: bytes) -> int:
    if picture.format == "TIFF":
        return exif_orientation(data)
    exif = picture.info.get("exif", b"")
    if picture.format == "PNG" and not exif:
        exif = _late_png_exif(data)
    return exif_orientation(exif) if isinstance(exif, bytes) else 1


def _late_png_exif(data: bytes) -> bytes:
    """Find the EXIF chunk of a PNG that stands behind the pixels, where Pillow has not read yet."""
    offset = 8
    while offset + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        if kind == b"eXIf":
            return data[offset + 8 : offset + 8 + length]
        offset += 12 + length
    return b""


def _bits(picture: Image.Image, data: bytes) -> int:
    if picture.format == "PNG":
        return data[24]  # IHDR, which Pillow has found there
    if picture.format == "TIFF":
        depths = getattr(picture, "tag_v2", {}).get(258, (1,))
        return int(depths[0])
    return 1 if picture.mode == "1" else 8


def _frames(picture: Image.Image) -> int:
    """Count the frames; for a TIFF this moves the picture on to its last counted page."""
    if picture.format != "TIFF":
        return int(getattr(picture, "n_frames", 1))
    frames = 1
    try:
        with quietly():
            while frames < MAX_FRAMES_COUNTED:
                picture.seek(frames)
                frames += 1
    except PILLOW_ERRORS:
        pass  # the end, or a page that is broken: the first is what is read
    return frames
