"""Colours as text and as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from operator import index
from typing import Final

from common.errors import UsageError

# Shells take a bare `#` for the start of a comment, so people leave it out.
_HEX_COLOR: Final = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.ASCII)


def normalize_hex(text: str, name: str = "a colour") -> str:
    """Return `#rrggbb` in lower case from `#rrggbb` or `#rgb`; the `#` may be missing.

    Args:
        name: what the sentence of the error calls it.

    Raises:
        UsageError: the text is no such colour.
    """
    match = _HEX_COLOR.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"{name} must be #rrggbb or #rgb, got {text!r}")
    digits = match[1]
    return "#" + (digits if len(digits) == 6 else "".join(digit * 2 for digit in digits))


def hex_to_rgb(text: str) -> tuple[int, int, int]:
    """Red, green, blue, 0 to 255: `#0d25ac` is (13, 37, 172), `#fff` is white.

    Raises:
        UsageError: the text is no such colour.
    """
    red, green, blue = bytes.fromhex(normalize_hex(text)[1:])
    return red, green, blue


def rgb_to_hex(rgb: Iterable[int]) -> str:
    """`#rrggbb` in lower case: (13, 37, 172) is `#0d25ac`.

    Raises:
        UsageError: not three whole numbers of 0 to 255.
    """
    try:
        red, green, blue = bytes(index(value) for value in rgb)
    except (TypeError, ValueError) as exc:
        raise UsageError(f"a colour must be three whole numbers of 0 to 255, got {rgb}") from exc
    return f"#{red:02x}{green:02x}{blue:02x}"
