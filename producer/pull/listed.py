"""The models of the registry and of a user's manifest, with the files that are there."""

from __future__ import annotations

from pathlib import Path

from common.weights import ModelStatus, listing, models_cache_dir
from producer.pull.manifest import Entry, read_manifest


def listed(models_dir: Path | None, manifest: Path | None) -> list[ModelStatus]:
    """Every model that is known; one of the manifest stands for one of ours of that name.

    Raises:
        UsageError: the manifest cannot be read.
    """
    ours = {one.name: one for one in listing(models_dir)}
    theirs = {} if manifest is None else read_manifest(manifest)
    return [*({**ours, **{name: _status(entry) for name, entry in theirs.items()}}.values())]


def _status(entry: Entry) -> ModelStatus:
    path = models_cache_dir() / entry.file
    is_there = path.is_file()
    return ModelStatus(
        name=entry.name,
        use=entry.use,
        path=path if is_there else None,
        origin="the manifest",
        licence=entry.licence,
        size=path.stat().st_size if is_there else None,
        address=entry.address,
        known_size=entry.size,
        known_sha256=entry.sha256,
    )
