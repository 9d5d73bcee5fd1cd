"""Pictures in and out of bytes: decodes to upright BGR pixels, encodes PNG and JPEG.

One decoder for every stage, so that detection and masking see the same pixels. Files are read and written
elsewhere (`common.files`): `cv2.imread` crashes on names that are not UTF-8 and hides why it failed. Colour
profiles are not applied. Corrupt data inside a complete JPEG cannot be told from a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from common.arrays import GrayImage, ImageBgr
from common.errors import ImageError
from common.image_header import MAX_PIXELS, ImageHeader, broken, open_picture, quietly
from common.image_header import probe as probe
from common.jpeg_compression import JpegCompression
from common.orientation import turn_upright
from common.pixels import spread_unit, to_bgr8
from common.png import write_png
from common.truncation import is_cut

# A bad file is one row with a sentence, not lines on stderr. (libpng and libjpeg print past this log.)
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_OUT_OF_MEMORY = -4  # cv::Error::StsNoMem

_REDUCTIONS = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> ImageBgr:
    """Decode the first frame of a picture, upright, 8 bits, flattened on white.

    Args:
        data: the whole file: JPEG, PNG, BMP, WebP or TIFF by its content.
        max_pixels: the largest width times height that is decoded, by the header.

    Returns:
        (H, W, 3) uint8, contiguous, writable.

    Raises:
        ImageError: `empty`, `unreadable`, `truncated`, `too-large`, `out-of-memory`.
    """
    return decode_reduced(data, None, max_pixels=max_pixels).image_bgr


@dataclass(frozen=True)
class ReducedImage:
    """A picture that may be smaller than its file says.

    Attributes:
        image_bgr: (ceil(height / factor), ceil(width / factor), 3) uint8, contiguous, writable.
        factor: 1, 2, 4 or 8; one pixel stands for so many of the picture in each direction.
        width: of the whole upright picture, pixels.
        height: likewise.
        compression: of the file, where it is a JPEG whose pixels, unreduced, show it; else None.
    """

    image_bgr: ImageBgr
    factor: int
    width: int
    height: int
    compression: JpegCompression | None = None


def decode_reduced(data: bytes, side: int | None, *, max_pixels: int = MAX_PIXELS) -> ReducedImage:
    """Decode like `decode`, but a large JPEG at a half, a quarter or an eighth of its size.

    Its decoder then computes fewer pixels out of each block: a half takes less than half the time.

    Args:
        data: the whole file.
        side: pixels that the longer side keeps at the least; None: the picture as it is.
        max_pixels: as in `decode`.

    Raises:
        ImageError: as in `decode`.
    """
    header = probe(data, max_pixels=max_pixels)
    # Before decoding, because Pillow accepts a PNG without its end, and libpng would print.
    if header.format in ("JPEG", "MPO", "PNG") and is_cut(data):
        raise broken(data, "truncated")
    factor = _factor(header, side)
    try:
        image = _decode_first_frame(data, header, factor)
    except MemoryError as exc:
        raise _out_of_memory(header) from exc
    if image.shape != (-(-header.height // factor), -(-header.width // factor), 3):
        raise ImageError(
            "unreadable",
            f"image must be {header.width} x {header.height} as its header says, "
            f"got {image.shape[1]} x {image.shape[0]}" + (f" at 1/{factor}" if factor > 1 else ""),
        )
    compression = header.compression if factor == 1 else None
    return ReducedImage(image, factor, header.width, header.height, compression)


def _factor(header: ImageHeader, side: int | None) -> int:
    """By how much a picture is reduced while it is decoded."""
    if side is None or header.format not in ("JPEG", "MPO") or not _is_plain(header):
        return 1
    longer = max(header.width, header.height)
    return max(factor for factor in (1, *_REDUCTIONS) if factor == 1 or longer >= factor * side)


def _is_plain(header: ImageHeader) -> bool:
    """OpenCV decodes it right into three channels of 8 bits."""
    still = header.frames == 1 or header.format == "MPO"
    return still and header.mode in ("1", "L", "RGB") and header.bits <= 8 and not header.transparent


def encode_png(image: ImageBgr | GrayImage, *, compression: int = 1) -> bytes:
    """Encode as PNG; the same pixels give the same bytes (at level 1: on one kind of processor).

    Level 1 is `common.png`, the others OpenCV's. Means of group photographs of 0.8 megapixels on one core: 8 ms and
    1073 kB; zlib 3 with `up` takes seven times as long for 8 % less, zlib 6 with `paeth` twenty times for 10 %.

    Args:
        image: (H, W, 3) uint8 BGR, or (H, W) uint8.
        compression: 1 (fast) to 9 (zlib's levels, smaller).

    Raises:
        ValueError: another shape or dtype.
        ImageError: `unexpected`, when OpenCV refuses.
    """
    if compression <= 1:
        _check_encodable(image)
        return write_png(image)
    parameters = [
        *(cv2.IMWRITE_PNG_COMPRESSION, compression),
        *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT),
        *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
    ]
    return _encode(".png", image, parameters)


def encode_jpeg(image: ImageBgr | GrayImage, *, quality: int = 95) -> bytes:
    """Encode as baseline JPEG, chroma halved; the same pixels give the same bytes.

    Args:
        image: (H, W, 3) uint8 BGR, or (H, W) uint8; at most 65500 pixels a side.
        quality: 0 to 100.

    Raises:
        ValueError: another shape or dtype.
        ImageError: `unexpected`, when OpenCV refuses.
    """
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_other(image: ImageBgr | GrayImage, suffix: str, *, quality: int = 95) -> bytes:
    """Encode as BMP, WebP or TIFF (deflate: tifffile reads LZW only with another package).

    Args:
        image: (H, W, 3) uint8 BGR, or (H, W) uint8.
        suffix: `.bmp`, `.webp`, `.tif` or `.tiff`.
        quality: of WebP, 1 to 100; over 100 nothing is lost.

    Raises:
        ValueError: another shape or dtype.
        ImageError: `unexpected`, when OpenCV refuses.
    """
    tiff = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE]
    parameters = {".webp": [cv2.IMWRITE_WEBP_QUALITY, quality], ".tif": tiff, ".tiff": tiff}
    return _encode(suffix, image, parameters.get(suffix, []))


def _check_encodable(image: ImageBgr | GrayImage) -> None:
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or image.shape[2:] not in ((), (3,))
        or not image.size
    ):
        raise ValueError(f"image must be (H, W, 3) or (H, W) uint8, got {image.shape} {image.dtype}")


def _encode(suffix: str, image: ImageBgr | GrayImage, parameters: list[int]) -> bytes:
    _check_encodable(image)
    try:
        done, encoded = cv2.imencode(suffix, image, parameters)
    except cv2.error as exc:
        raise ImageError("unexpected", f"OpenCV cannot encode {image.shape} as {suffix}: {exc.err}") from exc
    if not done:
        raise ImageError("unexpected", f"OpenCV cannot encode {image.shape} as {suffix}")
    return bytes(encoded.tobytes())


def _decode_first_frame(data: bytes, header: ImageHeader, factor: int) -> ImageBgr:
    """Choose the decoder: OpenCV where it is right, because it is two to three times as fast as Pillow."""
    if header.format == "TIFF":
        return _decode_tiff(data, header)
    deep = header.bits == 16
    if _is_plain(header):
        pixels = _decode_with_opencv(data, _REDUCTIONS.get(factor, cv2.IMREAD_COLOR), header)
    elif header.format in ("PNG", "WEBP") and (deep or (header.frames == 1 and header.bits == 8)):
        pixels = _decode_with_alpha(data, header)
    else:
        pixels = _decode_with_pillow(data)
    return turn_upright(pixels, header.orientation)


def _decode_with_opencv(data: bytes, flags: int, header: ImageHeader) -> npt.NDArray[Any]:
    """Decode as stored, not turned (but a TIFF is); the flags choose channels and depth."""
    flags |= cv2.IMREAD_IGNORE_ORIENTATION if flags != cv2.IMREAD_UNCHANGED else 0
    try:
        pixels: npt.NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as exc:
        if exc.code == _OUT_OF_MEMORY:
            raise MemoryError from exc
        raise broken(data, f"data that OpenCV refuses ({exc.err})") from exc
    if pixels is None:
        # OpenCV swallows an allocation that failed inside a decoder: ask for the same again.
        _ = bytearray(4 * header.width * header.height)
        raise broken(data, f"damaged {header.format} data")
    return pixels


def _decode_with_alpha(data: bytes, header: ImageHeader) -> ImageBgr:
    """Decode a PNG or WebP of 8 or 16 bits with whatever transparency it has."""
    pixels = _decode_with_opencv(data, cv2.IMREAD_UNCHANGED, header)
    full = 65535 if pixels.dtype == np.uint16 else 255
    if (
        pixels.ndim == 2 and header.transparent
    ):  # OpenCV keeps the transparent colour of RGB, not that of grey
        with open_picture(data) as picture:
            see_through = int(picture.info["transparency"])
        alpha = np.where(pixels == see_through, 0, full).astype(pixels.dtype)
        pixels = np.dstack([pixels, alpha])
    return to_bgr8(pixels, full=full)


def _decode_tiff(data: bytes, header: ImageHeader) -> ImageBgr:
    """Decode the first page of a TIFF; both decoders turn it upright themselves."""
    if header.bits == 16 and header.mode == "RGB":  # Pillow keeps the high bytes only
        pixels = _decode_with_opencv(data, cv2.IMREAD_UNCHANGED, header)
        if pixels.dtype == np.uint16 and pixels.shape == (header.height, header.width, 3):
            return to_bgr8(pixels, full=65535)
    return _decode_with_pillow(data)


def _decode_with_pillow(data: bytes) -> ImageBgr:
    """Decode the rarer kinds: alpha, palette, CMYK, animations, TIFF (which Pillow turns upright)."""
    with open_picture(data) as picture:
        tags = getattr(picture, "tag_v2", {})
        with quietly():
            picture.load()
        if picture.mode.startswith("I;16"):
            grey = np.asarray(picture).astype(np.uint16)
            if tags.get(262) == 0:  # white is zero: Pillow turns that only at 8 bits
                grey = 65535 - grey
            return to_bgr8(grey, full=4095 if tags.get(258) == (12,) else 65535)
        if picture.mode == "F":
            spread = spread_unit(np.asarray(picture))
            if spread is None:
                raise ImageError("unreadable", "floating-point pixels must lie in 0-1 or 0-255, got others")
            return to_bgr8(spread, full=255)
        if picture.mode == "I":
            raise ImageError(
                "unreadable", "integer pixels must be unsigned of 1, 8, 12 or 16 bits, got others"
            )
        return _to_bgr(picture)


def _to_bgr(picture: Image.Image) -> ImageBgr:
    if "transparency" in picture.info or picture.mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        rgba = np.asarray(picture.convert("RGBA"))
        return to_bgr8(rgba[:, :, [2, 1, 0, 3]], full=255)
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[:, :, ::-1])


def _out_of_memory(header: ImageHeader) -> ImageError:
    return ImageError("out-of-memory", f"{header.width} x {header.height} pixels do not fit into memory")
