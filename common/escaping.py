"""File names as text: bytes that text cannot hold are written `\\xNN`, a backslash as `\\\\`.

Used in CSV and text files, in messages, and for the lines of `@list` files.
"""

from __future__ import annotations

import re
import unicodedata

# Cc are the control characters; Zl and Zp end a line for `str.splitlines` and for many editors.
_ESCAPED_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_ESCAPE = re.compile(rb"\\(?:\\|x([0-9a-fA-F]{2}))")


def escape(path: bytes) -> str:
    """Write a file name as one line of valid text; `unescape` gives the same bytes back.

    Args:
        path: any bytes. UTF-8 without backslashes and control characters passes unchanged.
    """
    text = path.decode("utf-8", "surrogateescape")
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text  # most names, at a twentieth of the time
    return "".join(_escape_character(char) for char in text)


def unescape(text: str) -> bytes:
    r"""Turn escaped text back into the bytes of a file name.

    Understands `\\` and `\xNN` (hexadecimal digits of either case). Any other backslash stands for
    itself, so a hand-written list with `C:\pictures` works. Lone surrogates made by
    `surrogateescape` become their bytes again.
    """
    raw = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda match: bytes.fromhex((match[1] or b"5c").decode("ascii")), raw)


def _escape_character(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if "\udc80" <= char <= "\udcff" or unicodedata.category(char) in _ESCAPED_CATEGORIES:
        return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
    return char
