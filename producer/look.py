"""A single image of an input, by its index or by its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from common.errors import UsageError
from common.escaping import escape
from producer.inputs import read_inputs
from producer.pixels import PixelSource
from producer.scan import Found, Scanner

_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """What was looked at: its place in the input, its size in pixels, and the file it lies in."""

    index: int
    name: bytes
    width: int
    height: int
    source: bytes
    keyframe: int | None


def look(
    source: str,
    *,
    index: int | None = None,
    name: str | None = None,
    to: str | None = None,
    input_root: str | None = None,
    follow_symlinks: bool = False,
) -> Seen:
    """Read one image, and write it as PNG where `to` says so.

    Raises:
        UsageError: there is no such image, or more than one.
        ImageError: it cannot be read.
    """
    if (index is None) == (name is None):
        raise UsageError("give either --index N or --name NAME")
    if to is not None and not to.lower().endswith(".png"):
        raise UsageError(f"--to {to}: the picture is written as PNG, expected a name that ends in .png")
    inputs = read_inputs([source], input_root)
    scanner = Scanner(inputs, b"", follow_symlinks=follow_symlinks)
    if index is not None:
        place, found = _at(scanner, index)
    else:
        place, found = _named(scanner, os.fsencode(name or ""))
    with PixelSource(inputs, scanner.videos) as pixels:
        picture = pixels.read(found)
    file = os.path.join(inputs[found.position].root, found.relative)
    if found.frame is not None:
        file = found.frame.video
    if to is not None:
        _write(to, file, picture.image_bgr)
    keyframe = None if found.frame is None else found.frame.keyframe
    return Seen(place, found.relative, picture.width, picture.height, file, keyframe)


def _at(scanner: Scanner, index: int) -> tuple[int, Found]:
    count = 0
    for count, found in enumerate(scanner.images(), 1):
        if count - 1 == index:
            return index, found
    raise UsageError(f"--index {index}: this input has {count} images, counted from 0")


def _named(scanner: Scanner, name: bytes) -> tuple[int, Found]:
    """The image with this relative path, else the only one with this file name."""
    same_name: list[tuple[int, Found]] = []
    for place, found in enumerate(scanner.images()):
        if found.relative == name:
            return place, found
        if os.path.basename(found.relative) == name:
            same_name.append((place, found))
    if len(same_name) == 1:
        return same_name[0]
    if not same_name:
        raise UsageError(f"--name {escape(name)}: this input has no such image")
    paths = ", ".join(escape(found.relative) for _, found in same_name[:_NAMED_AT_MOST])
    raise UsageError(f"--name {escape(name)}: {len(same_name)} images have it, give a relative path: {paths}")


def _write(to: str, source: bytes, image_bgr: object) -> None:
    import numpy as np

    from common.files import write_atomically
    from common.images import encode_png

    path = os.fsencode(to)
    if os.path.exists(path) and os.path.samefile(path, source):
        raise UsageError(f"--to {to} is the input itself: give another name")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"--to {to}: there is no folder {escape(folder)}")
    write_atomically(path, _once(encode_png(np.asarray(image_bgr, np.uint8))))


def _once(data: bytes) -> Iterator[bytes]:
    yield data
