"""Child processes that do not outlive their parent."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable

RUN_VARIABLE = "MASKMILL_RUN"
"""In the environment of all processes of a `run`: a token by which they are known."""
_PR_SET_PDEATHSIG = 1


def end_with_parent() -> Callable[[], None] | None:
    """What to pass as `preexec_fn`: the kernel ends the child when its parent dies, however that dies.

    None where the system has no such thing (only Linux has).
    """
    return _set_death_signal if sys.platform == "linux" else None


def _set_death_signal() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
