"""The `--input` arguments: what each one is, its root, and what stands before its relative paths."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from common.errors import UsageError
from common.escaping import escape
from common.stems import IMAGE_EXTENSIONS, is_image_name
from producer.lists import list_lines
from producer.videos import VIDEO_EXTENSIONS, frame_of

InputKind: TypeAlias = Literal["directory", "file", "list", "video"]

_NAMED_AT_MOST = 5


@dataclass(frozen=True, slots=True)
class Input:
    """One `--input`.

    Attributes:
        kind: what it is.
        given: the argument as the user wrote it; a list without its `@`.
        root: absolute real folder that relative paths are counted from; a video is the folder of its frames.
        prefix: put in front of the relative paths where those of several inputs meet; else empty.
    """

    kind: InputKind
    given: bytes
    root: bytes
    prefix: bytes = b""

    def place(self, relative: bytes) -> bytes:
        """The path under the output of what lies at `relative` under the root."""
        return posixpath.join(self.prefix, relative)


def read_inputs(given: Sequence[str], input_root: str | None) -> list[Input]:
    """Every `--input`, checked; a directory or file inside another given directory counts once.

    Raises:
        UsageError: one is missing, is no image, or a list names something missing.
    """
    if not given:
        raise UsageError("--input is missing: give an image, a folder, a video or @list.txt")
    inputs: list[Input] = []
    for argument in given:
        one = _read_input(os.fsencode(argument), None if input_root is None else os.fsencode(input_root))
        is_alone_there = one.kind in ("directory", "video")
        if not is_alone_there or all((one.kind, one.root) != (other.kind, other.root) for other in inputs):
            inputs.append(one)
    folders = [one.root for one in inputs if one.kind == "directory"]
    return [one for one in inputs if not _is_covered(one, folders)]


def with_prefixes(inputs: Sequence[Input]) -> list[Input]:
    """The inputs with the last name of each root as prefix; more of the root where those are equal."""
    depth = 1
    while True:
        prefixes = [b"/".join(one.root.strip(b"/").split(b"/")[-depth:]) for one in inputs]
        roots = {one.root for one in inputs}
        if len(set(prefixes)) == len(roots) or depth > 64:
            return [replace(one, prefix=prefix) for one, prefix in zip(inputs, prefixes, strict=True)]
        depth += 1


def _read_input(given: bytes, input_root: bytes | None) -> Input:
    if given.startswith(b"@"):
        return _read_list(given[1:], input_root)
    try:
        mode = os.stat(given).st_mode
    except (OSError, ValueError) as exc:
        raise UsageError(f"--input {escape(given)}: there is no such file or folder") from exc
    if stat.S_ISDIR(mode):
        if not os.access(given, os.R_OK | os.X_OK):
            raise UsageError(f"--input {escape(given)}: this folder may not be read")
        return Input("directory", given, os.path.realpath(given))
    name = os.path.basename(given)
    if stat.S_ISREG(mode) and name.lower().endswith(VIDEO_EXTENSIONS):
        return Input("video", given, os.path.realpath(given))
    if not stat.S_ISREG(mode) or not name.lower().endswith(IMAGE_EXTENSIONS):
        raise UsageError(
            f"--input {escape(given)}: expected an image ({_extensions()}), a video, a folder or @list.txt"
        )
    return Input("file", given, os.path.realpath(os.path.dirname(os.path.abspath(given))))


def _read_list(path: bytes, input_root: bytes | None) -> Input:
    common: bytes | None = None
    missing: list[bytes] = []
    unfit: list[bytes] = []
    try:
        for line in list_lines(path):
            frame = frame_of(line.absolute)
            if frame is not None and os.path.isfile(frame[0]):
                pass
            elif not os.path.exists(line.absolute):
                missing.append(line.written)
            elif not os.path.isfile(line.absolute) or not line.absolute.lower().endswith(IMAGE_EXTENSIONS):
                unfit.append(line.written)
            folder = os.path.dirname(line.real_place)
            common = folder if common is None else os.path.commonpath([common, folder])
    except OSError as exc:
        raise UsageError(f"--input @{escape(path)}: the list cannot be read ({exc.strerror})") from exc
    if missing:
        raise UsageError(
            f"--input @{escape(path)}: {len(missing)} of its paths are missing: {_named(missing)}"
        )
    if unfit:
        raise UsageError(
            f"--input @{escape(path)}: expected images ({_extensions()}), found {_named(unfit)}; "
            "a video is an --input of its own"
        )
    if common is None:
        raise UsageError(f"--input @{escape(path)}: the list is empty")
    root = os.path.realpath(common if input_root is None else input_root)
    if not inside(common, root):
        raise UsageError(f"--input-root {escape(root)}: the paths of @{escape(path)} do not lie inside it")
    return Input("list", path, root)


def inside(path: bytes, folder: bytes) -> bool:
    """The absolute path is the folder or lies below it."""
    return path == folder or path.startswith(folder.rstrip(b"/") + b"/")


def _is_covered(one: Input, folders: Sequence[bytes]) -> bool:
    """Another given directory meets this input by itself: no hidden folder lies between them."""
    if one.kind in ("list", "video") or (
        one.kind == "file" and not is_image_name(os.path.basename(one.given))
    ):
        return False
    return any(
        inside(one.root, folder)
        and b"/." not in one.root[len(folder) :]
        and (one.kind == "file" or one.root != folder)
        for folder in folders
    )


def _extensions() -> str:
    return " ".join(extension.decode() for extension in IMAGE_EXTENSIONS)


def _named(paths: Sequence[bytes]) -> str:
    named = ", ".join(escape(path) for path in paths[:_NAMED_AT_MOST])
    rest = len(paths) - _NAMED_AT_MOST
    return f"{named} and {rest} more" if rest > 0 else named
