"""What the main process of a pool loads before it forks: its processes share that memory, and are ready sooner.

The trees of the landmarks are 65 MB (docs/performance.md). Only what survives a fork is loaded here: no thread may
be running then, and ONNX Runtime starts some when it is imported (spec/reliability.md §2).
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Collection

from common import weights
from common.errors import UnfitError
from common.settings import Settings
from common.threads import one_thread_a_library


def preload(settings: Settings, stages: Collection[str]) -> None:
    """Load libraries, and the landmark model that jobs use unless they say otherwise.

    A model that is missing or broken is told by the first job that needs it.

    Args:
        stages: those that the pool works on.

    Raises:
        Exception: a library of ours cannot be imported; it may be any.
    """
    one_thread_a_library()
    # Imported here: the number of their threads is settled when they are imported.
    import workers.artwork
    import workers.crops
    import workers.facepoints  # noqa: F401
    from workers.landmarks.dlib68 import share_predictor

    if "augment" in stages:
        with contextlib.suppress(UnfitError):
            share_predictor(weights.find("dlib68", None, settings.models), weights.cache_dir())
    # What lives now lives as long as the pool: a collection in a child would write to each of its pages.
    gc.freeze()
