"""Reading blur and noise off a picture: the same bits wherever in memory the work is done."""

from __future__ import annotations

import numpy as np
import pytest

from workers.masks.optics import _blur, _steepness


@pytest.mark.parametrize("side", [44, 61, 128])
def test_what_is_read_does_not_depend_on_where_arrays_lie(side: int) -> None:
    """OpenCV's own length of a vector does: its last bits change with the address of the answer."""
    grey = np.random.default_rng(1).integers(0, 256, (side, side)).astype(np.float32)
    held: list[object] = []
    found: set[tuple[bytes, float]] = set()
    for number in range(64):
        # Everything that is allocated from here on moves by 16 bytes.
        held.append(np.empty(1000 + 16 * number, dtype=np.uint8))
        held.append(_steepness(grey))
        found.add((_steepness(grey).tobytes(), _blur(grey)))
    assert len(found) == 1
