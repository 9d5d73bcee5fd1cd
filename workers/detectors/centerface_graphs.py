"""CenterFace's graph in every precision, and which one a CPU takes by itself."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from common.weights import MODELS
from workers import calibration
from workers.detectors.centerface_input import to_input
from workers.graphs import read_model
from workers.integers import Ranges, byte_graph, measured_ranges
from workers.opening import Variant, cpu_features
from workers.precision import half_graph, joined_heads, pixel_graph
from workers.sessions import optimised_graph, trial_run

_FLOAT_CONVOLUTIONS = (0, 1)
"""Those on the whole picture: on 8-bit integers they take longer than on floats (3.6 against 2.2 ms the first)."""

KNOWN_RANGES = Path(__file__).with_name("centerface_ranges.json")
"""What `ranges_of` answers for the known file; a test compares them."""

_log = logging.getLogger(__name__)


def form_on_cpu(path: Path) -> str:
    """Return the precision for a model on this CPU: recall and speed of int8 were measured with one file, on x86-64.

    Raises:
        UnfitError: the file cannot be read.
    """
    return "int8" if "avx2" in cpu_features() and _is_known(path) else "fp32"


def _is_known(path: Path) -> bool:
    content = hashlib.sha256(read_model(path)).hexdigest()
    return content in {file.sha256 for file in MODELS["centerface"].files}


def variant_for(form: str, on_gpu: bool, path: Path, label: str) -> Variant:
    """Return the graph of a precision, `fp32`, `fp16` or `int8`; on a GPU it takes pixels as they are.

    Args:
        path: the model file.
        label: what messages call it.
    """
    if form == "int8":
        return Variant(
            f"int8 2 {calibration.RECIPE}", lambda graph: _as_bytes(graph, path, label), is_slow=True
        )
    if form == "fp16":

        def as_half(graph: bytes) -> bytes:
            half = half_graph(optimised_graph(graph, label, portable=True), label)
            return pixel_graph(half) if on_gpu else half

        return Variant(f"fp16 1 {on_gpu}", as_half)
    return Variant("pixels 1", pixel_graph) if on_gpu else Variant("heads 1", joined_heads)


def _as_bytes(graph: bytes, path: Path, label: str) -> bytes:
    folded = optimised_graph(graph, label, portable=True)
    with trial_run(path, "a CenterFace on 8-bit integers"):
        if _is_known(path):
            ranges: Ranges = json.loads(KNOWN_RANGES.read_text(encoding="utf-8"))
            try:
                return byte_graph(folded, ranges, float_convolutions=_FLOAT_CONVOLUTIONS)
            except KeyError as exc:
                # Another ONNX Runtime may fold it to values of other names.
                _log.warning("%s: the ranges of its activations are measured anew, as %s is new", label, exc)
        return byte_graph(folded, ranges_of(folded), float_convolutions=_FLOAT_CONVOLUTIONS)


def ranges_of(folded: bytes) -> Ranges:
    """Return the ranges of a folded graph's activations on the pictures of `workers.calibration`: some seconds, 0.9 GB."""
    samples = (to_input(None, [picture]) for picture in calibration.calibration_pictures())
    return measured_ranges(folded, samples)
