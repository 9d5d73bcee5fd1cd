"""Stems: which names the artifacts of an image begin with.

A stem is settled when an image is first recorded and never changes, so that nothing is ever
overwritten by another image.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Mapping

IMAGE_EXTENSIONS = (b".jpg", b".jpeg", b".png", b".bmp", b".webp", b".tif", b".tiff")

_CONTINUATION = re.compile(r"_(?:aug|face|(?:original|masked|buffalo|scale_shift)(?:_|$))")
"""What an artifact's name can go on with behind the stem. `original_cropping` and
`buffalo_loose` begin with words that stand here already."""


def is_image_name(name: bytes) -> bool:
    """The extension, in any case, is one that is read; a hidden file is not an image."""
    return name.lower().endswith(IMAGE_EXTENSIONS) and not name.startswith(b".")


def settle_stems(names: Iterable[bytes], recorded: Mapping[bytes, bytes] | None = None) -> dict[bytes, bytes]:
    """The stem of each file name of one directory.

    A stem is the name without extension. Where two stems are equal (in any case), or one continues
    another with something that an artifact's name could go on with, all of them take the whole file
    name. A name that arrives after others are recorded takes its own whole name and leaves them alone.

    Args:
        names: file names of one directory that are images; duplicates count once.
        recorded: stems already settled in this directory, by file name.

    Returns:
        Name → stem for every name of `names` that is not recorded.
    """
    settled = {name: _folded(stem) for name, stem in (recorded or {}).items()}
    taken = set(settled.values())
    fresh = sorted(set(names) - settled.keys())
    stems = {name: posixpath.splitext(name)[0] for name in fresh}
    while True:
        clashing = _clashing(stems, taken)
        if not clashing:
            return stems
        stems.update((name, name) for name in clashing)


def _clashing(stems: Mapping[bytes, bytes], taken: set[str]) -> list[bytes]:
    """Names that still use a plain stem and must give it up.

    A whole name can meet a plain stem (`a.jpg` and `a.jpg.png`), so this is asked until it is quiet.
    """
    owners: dict[str, list[bytes]] = {}
    for name, stem in stems.items():
        owners.setdefault(_folded(stem), []).append(name)
    clashing: set[bytes] = set()
    for folded, names in owners.items():
        if len(names) > 1 or folded in taken:
            clashing.update(names)
        for match in _CONTINUATION.finditer(folded):
            shorter = folded[: match.start()]
            if shorter in owners or shorter in taken:
                clashing.update(names)
                clashing.update(owners.get(shorter, ()))
    for recorded_stem in taken:
        for match in _CONTINUATION.finditer(recorded_stem):
            clashing.update(owners.get(recorded_stem[: match.start()], ()))
    return [name for name in clashing if stems[name] != name]


def _folded(stem: bytes) -> str:
    return os.fsdecode(stem).casefold()
