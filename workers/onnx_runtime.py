"""ONNX Runtime, kept from reporting to its makers: nobody else imports it.

Since 1.29 the builds for Linux report sessions, models and errors over the network, and write a persistent identifier
into the user's cache, unless a variable is set before the library is imported (its Privacy.md). What somebody has set
stays.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

__all__ = ["load_quantization", "ort", "ort_state"]


def load_quantization() -> Any:
    """Return `onnxruntime.quantization`, which is seldom needed and slow to import."""
    from onnxruntime import quantization

    return quantization
