"""Which version of maskmill this is; rows carry the one that wrote them."""

from __future__ import annotations

from importlib.metadata import version

VERSION: str = version("maskmill")
