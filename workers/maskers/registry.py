"""Open a masker."""

from __future__ import annotations

from pathlib import Path

from common.maskers import Masker
from workers.maskers.base import FaceMasker
from workers.maskers.hulls import HullMasker


def open_masker(masker: Masker, *, device: str, threads: int, cache_dir: Path | None = None) -> FaceMasker:
    """Open a masker in this process.

    Raises:
        UnfitError: its network cannot be used.
    """
    if masker.network is None:
        return HullMasker(masker.name)
    # Imported here: the rules need no ONNX session.
    from workers.maskers.networks import open_network

    return open_network(masker, device=device, threads=threads, cache_dir=cache_dir)
