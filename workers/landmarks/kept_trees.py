"""The trees of a predictor's file, kept as arrays: reading dlib's file takes a second, reading these a tenth of one."""

from __future__ import annotations

import hashlib
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from workers.keeping import keep
from workers.landmarks.dlib_files import read_shape_predictor
from workers.landmarks.regression_trees import Trees

_RECIPE = 1
"""Raise it when the arrays of `Trees` or what is read into them changes."""
_ARRAYS = 7


def open_trees(path: Path, cache_dir: Path | None) -> Trees:
    """Return the trees of a file of dlib's; what was read is kept in a cache and taken from there the next time.

    One file is kept for each path, and made anew where the file there is another one or was written to.

    Args:
        cache_dir: None, or a folder that cannot be written: nothing is kept.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no predictor, or not a whole one.
    """
    stamp = _stamp(path)
    kept = None
    if cache_dir is not None:
        name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
        kept = cache_dir / "predictors" / f"{name}.trees"
        found = _read(kept, stamp)
        if found is not None:
            return found
    trees = read_shape_predictor(path)
    if kept is not None:
        keep(kept, lambda stream: _write(stream, stamp, trees))
    return trees


def _stamp(path: Path) -> npt.NDArray[np.int64]:
    """What changes whenever a file is replaced or written to: nobody can set the time of a change (ctime)."""
    status = path.stat()
    return np.array([_RECIPE, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns])


def _write(stream: BinaryIO, stamp: npt.NDArray[np.int64], trees: Trees) -> None:
    arrays = [stamp, *trees.arrays()]
    for array in (*arrays, _check(arrays)):
        np.save(stream, np.ascontiguousarray(array), allow_pickle=False)


def _read(kept: Path, stamp: npt.NDArray[np.int64]) -> Trees | None:
    """Return what was kept of a file with this stamp; None where that is nothing, or no longer whole."""
    try:
        with kept.open("rb") as stream:
            arrays = [np.load(stream, allow_pickle=False)]
            if not np.array_equal(arrays[0], stamp):
                return None
            arrays += [np.load(stream, allow_pickle=False) for _ in range(_ARRAYS)]
            is_whole = bool(_check(arrays) == np.load(stream, allow_pickle=False))
        return Trees(*arrays[1:]) if is_whole else None
    except (OSError, ValueError, EOFError):
        return None


def _check(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[np.uint32]:
    """A checksum over the content of arrays."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).data, found)
    return np.array(found, dtype=np.uint32)
