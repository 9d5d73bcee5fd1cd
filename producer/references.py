"""`--filter` and `--nfilter`: reference pictures, read and checked before anything is written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.errors import ImageError, UsageError
from common.escaping import escape
from common.files import read_source
from common.identity import FLAG_OF, ReferenceList, ReferencePicture, embedder_info
from common.ledger.references import ReferenceRow
from common.options import JobOptions
from common.settings import Settings
from common.stems import is_image_name


def read_references(wanted: Sequence[str], unwanted: Sequence[str]) -> tuple[ReferencePicture, ...]:
    """Read the pictures of both lists; one that stands twice in a list counts once.

    Args:
        wanted: files and folders of `--filter`; of a folder every image in it, in depth.
        unwanted: likewise of `--nfilter`.

    Raises:
        UsageError: one cannot be read, a folder has none, or one stands in both lists; names it.
    """
    found: dict[str, ReferencePicture] = {}
    lists: tuple[tuple[ReferenceList, Sequence[str]], ...] = (("wanted", wanted), ("unwanted", unwanted))
    for name, given in lists:
        for path in (one for start in given for one in _files(os.fsencode(start), FLAG_OF[name])):
            picture = _read(name, path)
            there = found.setdefault(picture.sha256, picture)
            if there.list != name:
                raise UsageError(
                    f"--nfilter {escape(path)} is the same picture as --filter {escape(there.path)}: "
                    "one person cannot be wanted and unwanted"
                )
    return tuple(found.values())


def identity_options(
    references: Sequence[ReferencePicture], threshold: float | None, model: str | None
) -> dict[str, object]:
    """The options of a job that follow from the references; none without any.

    Raises:
        UsageError: an option of the filter without a filter, or a model without a threshold of its own.
        UnfitError: there is no such model.
    """
    if not references:
        for flag, value in (("filter-threshold", threshold), ("identity-model", model)):
            if value is not None:
                raise UsageError(
                    f"--{flag} has a meaning only with --filter or --nfilter: give one, or leave it out"
                )
        return {}
    info = embedder_info(None if model is None else Path(model))
    if threshold is None and info.threshold is None:
        raise UsageError(
            f"the identity model {info.name} has no threshold of its own: give --filter-threshold, or `threshold` "
            "in its description; that of another model does not fit"
        )
    of_list = {name: tuple(sorted(one.sha256 for one in references if one.list == name)) for name in FLAG_OF}
    return {
        "filters": of_list["wanted"],
        "nfilters": of_list["unwanted"],
        "filter_threshold": info.threshold if threshold is None else threshold,
        "embedder": info.name,
        "identity_model": model,
    }


def new_rows(
    pictures: Sequence[ReferencePicture],
    options: JobOptions,
    settings: Settings,
    known: Sequence[ReferenceRow],
) -> list[ReferenceRow]:
    """The rows of those pictures that the job has not recorded yet.

    Raises:
        UsageError: a picture shows no face; names it.
        UnfitError: a model is missing or unfit.
    """
    there = {row.sha256 for row in known}
    new = [picture for picture in pictures if picture.sha256 not in there]
    if not new:
        return []
    # Imported here: no other command of the producer needs the libraries that work on pixels.
    from workers.identity.enrol import enrol

    return enrol(new, options, settings)


def _files(path: bytes, flag: str) -> Iterator[bytes]:
    if not os.path.isdir(path):
        yield os.path.abspath(path)
        return
    found = [
        os.path.abspath(os.path.join(folder, name))
        for folder, folders, names in os.walk(path)
        for name in names
        if is_image_name(name) and not name.startswith(b".")
    ]
    if not found:
        raise UsageError(f"--{flag} {escape(path)}: no image is in it")
    yield from sorted(found)


def _read(name: ReferenceList, path: bytes) -> ReferencePicture:
    try:
        data = read_source(path, roots=None)
    except ImageError as exc:
        raise UsageError(f"--{FLAG_OF[name]} {escape(path)}: it cannot be read: {exc}") from exc
    return ReferencePicture(name, path, hashlib.sha256(data).hexdigest(), data)
