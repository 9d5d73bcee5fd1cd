"""Stems: which names the artifacts of an image begin with.

A stem is settled when an image is first recorded and never changes, so that nothing is ever
overwritten by another image.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt

IMAGE_EXTENSIONS = (b".jpg", b".jpeg", b".png", b".bmp", b".webp", b".tif", b".tiff")

_CONTINUATION = re.compile(rb"_(?:aug|face|(?:original|masked|landmarks|buffalo|scale_shift)(?=_|$))")
"""What an artifact's name can go on with behind the stem. `original_cropping` and
`buffalo_loose` begin with words that stand here already."""


def is_image_name(name: bytes) -> bool:
    """The extension, in any case, is one that is read; a hidden file is not an image."""
    return name.lower().endswith(IMAGE_EXTENSIONS) and not name.startswith(b".")


class Stems:
    """The stems of one folder: a name without its extension, or the whole name where that could clash."""

    def __init__(self, whole: AbstractSet[bytes], others: Mapping[bytes, bytes] | None = None) -> None:
        self._whole = whole
        self._others = others or {}

    def of(self, name: bytes) -> bytes:
        """The stem of a file name of this folder."""
        if name in self._others:
            return self._others[name]
        if name in self._whole:
            return name
        stem = name.rpartition(b".")[0]
        # Dots that a name begins with are no extension's.
        return stem if stem.strip(b".") else posixpath.splitext(name)[0]


def settle_stems(names: Iterable[bytes], recorded: Mapping[bytes, bytes] | None = None) -> Stems:
    """Settle the stems of the files of one directory that are not recorded yet.

    A stem is the name without extension. Where two stems are equal (in any case), or one continues
    another with something that an artifact's name could go on with, all of them take the whole file
    name. A name that arrives after others are recorded takes its own whole name and leaves them alone.

    Args:
        names: file names of one directory that are images; iterated several times, so that a directory
            with millions of files need not lie in memory. Repeated names must not stand in it.
        recorded: stems already settled in this directory, by file name.
    """
    settled = recorded or {}
    taken = frozenset(_key(_folded(stem)) for stem in settled.values())
    continued = _shorter_keys(_folded(stem) for stem in settled.values())
    stems = Stems(frozenset())
    whole: set[bytes] = set()
    while True:
        # A whole name can meet a plain stem (`a.jpg` and `a.jpg.png`), so this is asked until it is quiet.
        may_continue = False

        def fold(stems: Stems = stems) -> Iterator[int]:
            nonlocal may_continue
            for name in names:
                if name not in settled:
                    folded = _folded(stems.of(name))
                    may_continue = may_continue or _CONTINUATION.search(folded) is not None
                    yield _key(folded)

        keys = np.fromiter(fold(), np.int64)
        keys.sort()
        clashing = {*taken, *continued} | set(keys[1:][keys[1:] == keys[:-1]].tolist())
        if not clashing and not may_continue:
            return Stems(whole)
        found = set()
        for name in names:
            if name in settled or name in whole:
                continue
            folded = _folded(stems.of(name))
            shorter = [key for key in _shorter_keys([folded]) if key in taken or _holds(keys, key)]
            if shorter or _key(folded) in clashing:
                found.add(name)
                clashing.update(shorter)
        # The shorter one of a pair may have been met before the longer one named it.
        found.update(
            name
            for name in (names if clashing else ())
            if name not in settled and name not in whole and _key(_folded(stems.of(name))) in clashing
        )
        if not found:
            return Stems(whole, _beside(whole, taken, continued))
        whole |= found
        stems = Stems(whole)


def _beside(
    whole: AbstractSet[bytes], taken: AbstractSet[int], continued: AbstractSet[int]
) -> dict[bytes, bytes]:
    """Whole names that are taken even so, numbered: `a.jpg` where an earlier `a.jpg.png` has the stem `a.jpg`.

    A whole name that continues an earlier stem is free: no artifact has an extension in its middle.
    """
    others: dict[bytes, bytes] = {}
    for name in whole:
        stem, number = name, 1
        while _key(_folded(stem)) in taken | continued:
            number += 1
            stem = name + b"~%d" % number
        if number > 1:
            others[name] = stem
    return others


def _shorter_keys(folded: Iterable[bytes]) -> frozenset[int]:
    """The keys of all stems that these continue."""
    return frozenset(_key(stem[: match.start()]) for stem in folded for match in _CONTINUATION.finditer(stem))


def _holds(sorted_keys: npt.NDArray[np.int64], key: int) -> bool:
    place = int(np.searchsorted(sorted_keys, key))
    return place < len(sorted_keys) and int(sorted_keys[place]) == key


def _key(folded: bytes) -> int:
    """64 bits for a stem: eight bytes of a million-file folder's stem instead of a hundred."""
    digest = hashlib.blake2b(folded, digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _folded(stem: bytes) -> bytes:
    """The stem without regard to case."""
    return stem.lower() if stem.isascii() else os.fsencode(os.fsdecode(stem).casefold())
