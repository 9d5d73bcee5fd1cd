"""The array types that pass between modules; shapes stand in each docstring."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

ImageBgr: TypeAlias = npt.NDArray[np.uint8]
"""(H, W, 3) uint8, channels blue, green, red."""

GrayImage: TypeAlias = npt.NDArray[np.uint8]
"""(H, W) uint8."""

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
