"""Open a landmark model by the word that `--landmarks` takes."""

from __future__ import annotations

from pathlib import Path

from common.choices import Normalization
from common.errors import UsageError
from workers.landmarks.base import Landmarker
from workers.landmarks.normalization import normalizer

LANDMARKERS = ("dlib68", "onnx98", "fan")


def open_landmarker(
    name: str,
    model_path: Path,
    *,
    device: str,
    threads: int,
    cache_dir: Path | None = None,
    normalization: Normalization = "none",
) -> Landmarker:
    """Open a landmark model in this process.

    Args:
        name: one of `LANDMARKERS`.
        device: `auto`, `cpu` or `cuda:N`; dlib68 runs on the CPU whatever is said.
        threads: CPU threads for one operator; dlib68 uses one.
        cache_dir: where prepared graphs and trees are kept; None: nowhere.
        normalization: what is done to the pixels that it sees.

    Raises:
        UsageError: unknown name.
        UnfitError: the file is not this model, or the device cannot be used.
    """
    normalize = normalizer(normalization)
    # Imported here: a worker with dlib's points needs no second ONNX session.
    if name == "dlib68":
        from workers.landmarks.dlib68 import open_dlib68

        return open_dlib68(model_path, normalize, cache_dir)
    if name == "onnx98":
        from workers.landmarks.onnx98 import open_onnx98

        return open_onnx98(
            model_path, device=device, threads=threads, cache_dir=cache_dir, normalize=normalize
        )
    if name == "fan":
        from workers.landmarks.fan import open_fan

        return open_fan(model_path, device=device, threads=threads, cache_dir=cache_dir, normalize=normalize)
    raise UsageError(f"the landmarks must be one of {', '.join(LANDMARKERS)}, got {name}")
