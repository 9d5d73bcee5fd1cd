"""Pictures from files: one, or many at once."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from common.arrays import ImageBgr
from common.errors import ImageError, UsageError
from common.escaping import escape
from common.files import read_source
from common.images import decode
from common.metadata import FilePath, PictureMetadata, extract_metadata
from common.pixel_hash import hash_pixels

log = logging.getLogger("maskmill.reading")

OnError: TypeAlias = Literal["raise", "log"]


@dataclass(frozen=True)
class ReadPicture:
    """One picture that was read.

    Attributes:
        path: as given.
        image_bgr: (H, W, 3) uint8.
        file_size: bytes.
        pixel_hash: of `common.pixel_hash`, where it was asked for.
        file_sha256: of the file, likewise.
        metadata: format, size and record, where they were asked for.
    """

    path: bytes
    image_bgr: ImageBgr
    file_size: int
    pixel_hash: str | None = None
    file_sha256: str | None = None
    metadata: PictureMetadata | None = None


@overload
def read_picture(
    path: FilePath,
    *,
    with_hash: bool = False,
    with_metadata: bool = False,
    on_error: Literal["raise"] = "raise",
) -> ReadPicture: ...
@overload
def read_picture(
    path: FilePath, *, with_hash: bool = False, with_metadata: bool = False, on_error: OnError
) -> ReadPicture | None: ...
def read_picture(
    path: FilePath, *, with_hash: bool = False, with_metadata: bool = False, on_error: OnError = "raise"
) -> ReadPicture | None:
    """Read one picture, with its hashes and metadata where asked for.

    Args:
        on_error: `raise`, or `log` a warning and return None, for a file that cannot be used.

    Raises:
        ImageError: as `common.files.read_source` and `common.images.decode`.
        TransientError: this process has too many files open.
    """
    given = os.fsencode(path)
    try:
        data = read_source(given, roots=None)
        image_bgr = decode(data)
        return ReadPicture(
            path=given,
            image_bgr=image_bgr,
            file_size=len(data),
            pixel_hash=hash_pixels(image_bgr) if with_hash else None,
            file_sha256=hashlib.sha256(data).hexdigest() if with_hash else None,
            metadata=extract_metadata(data) if with_metadata else None,
        )
    except ImageError as exc:
        if on_error == "raise":
            raise
        log.warning("%s is left out: %s: %s", escape(given), exc.code, exc)
        return None


@overload
def read_image(path: FilePath, *, on_error: Literal["raise"] = "raise") -> ImageBgr: ...
@overload
def read_image(path: FilePath, *, on_error: OnError) -> ImageBgr | None: ...
def read_image(path: FilePath, *, on_error: OnError = "raise") -> ImageBgr | None:
    """Read one picture as (H, W, 3) uint8 BGR, upright; see `read_picture`."""
    picture = read_picture(path, on_error=on_error)
    return None if picture is None else picture.image_bgr


def read_pictures(
    paths: Iterable[FilePath], *, with_hash: bool = False, with_metadata: bool = False, threads: int = 8
) -> list[ReadPicture]:
    """Read many pictures at once; the list has the order of the paths, also where one comes twice.

    Raises:
        ImageError, TransientError: the first path, in their order, that cannot be read.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="maskmill-reading") as pool:
        calls = [
            pool.submit(read_picture, path, with_hash=with_hash, with_metadata=with_metadata)
            for path in paths
        ]
        try:
            return [call.result() for call in calls]
        finally:
            for call in calls:
                call.cancel()


def read_batch(paths: Sequence[FilePath], *, threads: int = 8) -> npt.NDArray[np.uint8]:
    """Read pictures of one size into one array.

    Returns:
        (N, H, W, 3) uint8 BGR, in the order of the paths.

    Raises:
        UsageError: no path, or two pictures of different sizes; both are named.
        ImageError, TransientError: as `read_pictures`.
    """
    return stack(read_pictures(paths, threads=threads))


def stack(pictures: Sequence[ReadPicture]) -> npt.NDArray[np.uint8]:
    """Pictures of one size as one (N, H, W, 3) array.

    Raises:
        UsageError: no picture, or two of different sizes; both are named.
    """
    if not pictures:
        raise UsageError("a batch needs at least one picture, got none")
    first = pictures[0]
    for other in pictures:
        if other.image_bgr.shape != first.image_bgr.shape:
            raise UsageError(
                f"the pictures of a batch must have one size, got {_sized(first)} and {_sized(other)}"
            )
    return np.stack([picture.image_bgr for picture in pictures])


def _sized(picture: ReadPicture) -> str:
    height, width = picture.image_bgr.shape[:2]
    return f"{escape(picture.path)} of {width} x {height}"
