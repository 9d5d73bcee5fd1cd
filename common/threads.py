"""One thread a library in each process: the processes fill the cores."""

from __future__ import annotations

import os


def one_thread_a_library() -> None:
    """Let the libraries behind NumPy and dlib start no threads in this process and its children.

    To be called before they are imported; what somebody has set already stays.
    """
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
