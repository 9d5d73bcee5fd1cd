"""Takes the one model file out of what was fetched. Nothing is written under a name that an archive gives."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

_PIECE = 1 << 20

_STREAMS = (".bz2", ".gz", ".xz")
_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")

_BROKEN = (EOFError, OSError, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, zlib.error)


class UnpackError(Exception):
    """What was fetched is no whole archive of its kind, or holds no fitting member."""


def packing(name: str) -> str:
    """How a file of this name is packed, by its ending; empty for one that is not."""
    lower = name.lower()
    endings = [end for end in (*_ARCHIVES, *_STREAMS) if lower.endswith(end)]
    return max(endings, key=len, default="")


def without_packing(name: str) -> str:
    """The name of what comes out: `a.dat.bz2` is `a.dat`. An archive's name says nothing of its members."""
    return name[: len(name) - len(packing(name))]


def unpacked(path: Path, kind: str, file: str, member: str | None, size: int) -> Iterator[bytes]:
    """The content of the model in pieces.

    Args:
        kind: what `packing` says of the address.
        file: the model's own name: in an archive, the member of that name (in any folder) is taken.
        member: the path of the member instead.
        size: bytes that must come out; no more are read, however much the archive claims.

    Raises:
        UnpackError: it is broken, truncated, larger or smaller than `size`, or has no such member.
    """
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(_open(stack, path, kind, file, member))
            left = size
            while piece := stream.read(min(_PIECE, left + 1)):
                left -= len(piece)
                if left < 0:
                    raise UnpackError(f"more than {size} bytes come out of it")
                yield piece
        except _BROKEN as exc:
            raise UnpackError(f"it is no whole {kind or 'file'}: {exc}") from exc
        if left:
            raise UnpackError(f"{size} bytes should come out of it, got {size - left}")


def _open(stack: ExitStack, path: Path, kind: str, file: str, member: str | None) -> IO[bytes]:
    """Open the content; the stack closes what lies around it."""
    if kind == ".zip":
        archive = stack.enter_context(zipfile.ZipFile(path))
        plain = [info.filename for info in archive.infolist() if not info.is_dir()]
        with contextlib.suppress(RuntimeError, NotImplementedError):
            return archive.open(_member(plain, file, member))
        raise UnpackError("it is encrypted or packed in an unknown way")
    if kind in _ARCHIVES:
        tar = stack.enter_context(tarfile.open(path))  # noqa: SIM115
        name = _member([info.name for info in tar.getmembers() if info.isreg()], file, member)
        taken = tar.extractfile(name)
        assert taken is not None, "regular files have content"
        return taken
    openers: dict[str, Callable[[Path, Literal["rb"]], Any]] = {
        ".bz2": bz2.open,
        ".gz": gzip.open,
        ".xz": lzma.open,
    }
    opened: IO[bytes] = openers.get(kind, Path.open)(path, "rb")
    return opened


def _member(names: list[str], file: str, member: str | None) -> str:
    """The one member that is meant. Links, devices and folders are not among the names."""
    fitting = [
        name for name in names if (name == member if member is not None else PurePosixPath(name).name == file)
    ]
    if len(fitting) != 1:
        raise UnpackError(f"one member {member or file} is expected in it, got {len(fitting)}")
    parts = PurePosixPath(fitting[0]).parts
    if fitting[0].startswith("/") or ".." in parts:
        raise UnpackError(f"its member {fitting[0]!r} leads out of the archive")
    return fitting[0]
