"""The catalogue of mask kinds, and how a user's words become its names.

Pure data: the command line imports it, so it needs nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from common.colors import normalize_hex
from common.errors import UsageError


@dataclass(frozen=True, slots=True)
class MaskKind:
    """One mask as a shop would list it.

    Attributes:
        name: unique, such as `surgical-blue`.
        mask_type: the family, one of `MASK_TYPES`.
        color: the fabric's colour in white light, `#rrggbb` lower case.
        pattern: how the fabric is made, one of `PATTERNS[mask_type]`.
    """

    name: str
    mask_type: str
    color: str
    pattern: str


MASK_TYPES: Final = ("surgical", "N95", "KN95", "cloth")

WEARS: Final = ("correct", "nose-out", "mouth-out", "hanging")
"""How a mask is worn: over nose and mouth, under the nose, under the mouth, from one ear."""

PATTERNS: Final = MappingProxyType(
    {
        "surgical": ("pleated",),
        "N95": ("cup", "valve", "duckbill"),
        "KN95": ("folded",),
        "cloth": ("plain", "striped", "checked", "dotted", "floral", "knitted", "printed", "camouflage"),
    }
)
"""The patterns of each type; the first is the plain one that a bare type name stands for."""

# Within a type no colour comes twice: the rows of `logs.csv` tell variants apart by (type, colour).
KINDS: Final = (
    MaskKind("surgical-blue", "surgical", "#8fbfdc", "pleated"),
    MaskKind("surgical-green", "surgical", "#a4d0bd", "pleated"),
    MaskKind("surgical-white", "surgical", "#eceeee", "pleated"),
    MaskKind("surgical-black", "surgical", "#2b2c30", "pleated"),
    MaskKind("surgical-pink", "surgical", "#e9b9c4", "pleated"),
    MaskKind("N95-white", "N95", "#efeeea", "cup"),
    MaskKind("N95-grey", "N95", "#b9bcbd", "cup"),
    MaskKind("N95-valve", "N95", "#e6e3da", "valve"),
    MaskKind("N95-duckbill", "N95", "#f3f2ee", "duckbill"),
    MaskKind("KN95-white", "KN95", "#f0f0ee", "folded"),
    MaskKind("KN95-black", "KN95", "#28282b", "folded"),
    MaskKind("KN95-grey", "KN95", "#8d9196", "folded"),
    MaskKind("cloth-black", "cloth", "#252528", "plain"),
    MaskKind("cloth-grey", "cloth", "#83868b", "plain"),
    MaskKind("cloth-navy", "cloth", "#27365a", "plain"),
    MaskKind("cloth-red", "cloth", "#9e2b33", "plain"),
    MaskKind("cloth-olive", "cloth", "#6b6f4a", "plain"),
    MaskKind("cloth-striped-blue", "cloth", "#4a6d9c", "striped"),
    MaskKind("cloth-striped-sand", "cloth", "#d8cbb2", "striped"),
    MaskKind("cloth-checked-red", "cloth", "#b5404a", "checked"),
    MaskKind("cloth-checked-green", "cloth", "#4e7a5c", "checked"),
    MaskKind("cloth-dotted-purple", "cloth", "#5d4a7d", "dotted"),
    MaskKind("cloth-dotted-rose", "cloth", "#d59aa6", "dotted"),
    MaskKind("cloth-floral-blue", "cloth", "#3f5f92", "floral"),
    MaskKind("cloth-floral-cream", "cloth", "#e6dccb", "floral"),
    MaskKind("cloth-knitted-grey", "cloth", "#74777c", "knitted"),
    MaskKind("cloth-knitted-wine", "cloth", "#6e2a3c", "knitted"),
    MaskKind("cloth-printed-teal", "cloth", "#2f7f86", "printed"),
    MaskKind("cloth-camouflage", "cloth", "#5f6548", "camouflage"),
)

_CANONICAL_TYPES: Final = MappingProxyType({name.lower(): name for name in MASK_TYPES})


def parse_mask_type(text: str) -> str:
    """Return the canonical name of a type, whatever its case: `n95` is `N95`.

    Raises:
        UsageError: no type has this name.
    """
    name = _CANONICAL_TYPES.get(text.strip().lower())
    if name is None:
        raise UsageError(f"--mask-type must be one of {', '.join(MASK_TYPES)}, got {text!r}")
    return name


def parse_wears(texts: Sequence[str]) -> tuple[str, ...]:
    """Return ways of wearing in the order of `WEARS`, each once; `mixed` means all, nothing `correct`.

    Raises:
        UsageError: a word is none.
    """
    asked = {text.strip().lower().replace("_", "-") for text in texts}
    unknown = sorted(asked - {*WEARS, "mixed"})
    if unknown:
        raise UsageError(f"--wear must be one of {', '.join(WEARS)}, mixed, got {unknown[0]!r}")
    if "mixed" in asked:
        return WEARS
    return tuple(wear for wear in WEARS if wear in asked) or ("correct",)


def parse_mask_color(text: str) -> str:
    """Return `#rrggbb` in lower case from `#rrggbb` or `#rgb`; the `#` may be missing.

    Raises:
        UsageError: the text is no such colour.
    """
    return normalize_hex(text, "--mask-color")


def kinds_of(mask_type: str) -> tuple[MaskKind, ...]:
    """Return the kinds of one type, in the catalogue's order; empty for an unknown type."""
    return tuple(kind for kind in KINDS if kind.mask_type == mask_type)
