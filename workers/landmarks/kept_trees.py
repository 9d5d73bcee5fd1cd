"""The trees of a predictor's file, kept as arrays: reading dlib's file takes a second, reading these a tenth of one."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workers.keeping import keep, read_kept
from workers.landmarks.dlib_files import read_shape_predictor
from workers.landmarks.regression_trees import Trees

_RECIPE = 1
"""Raise it when the arrays of `Trees` or what is read into them changes."""


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
        found = _unpacked(read_kept(kept), stamp)
        if found is not None:
            return found
    trees = read_shape_predictor(path)
    if kept is not None:
        keep(kept, _packed(stamp, trees))
    return trees


def _stamp(path: Path) -> npt.NDArray[np.int64]:
    """What changes whenever a file is replaced or written to: nobody can set the time of a change (ctime)."""
    status = path.stat()
    return np.array([_RECIPE, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns])


def _packed(stamp: npt.NDArray[np.int64], trees: Trees) -> bytes:
    stream = io.BytesIO()
    for array in (stamp, *trees.arrays()):
        np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _unpacked(content: bytes | None, stamp: npt.NDArray[np.int64]) -> Trees | None:
    """Return the trees, or None where nothing was kept, or of another file."""
    if content is None:
        return None
    stream = io.BytesIO(content)
    if not np.array_equal(np.load(stream, allow_pickle=False), stamp):
        return None
    return Trees(*(np.load(stream, allow_pickle=False) for _ in fields(Trees)))
