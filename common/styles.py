"""The names of the crop styles and the sides they can have; nothing here needs an array library."""

from __future__ import annotations

from collections.abc import Iterable

from common.errors import UsageError

ALL_STYLES = ("buffalo", "original_cropping", "scale_shift")
"""What `all` means, for good: a style added later is asked for by name."""

CROP_STYLES = (*ALL_STYLES, "buffalo_loose")
"""Every style that can be asked for."""

CROP_FORMATS = ("jpg", "png", "tif")
"""Every format that crops can have: the ending of their names."""

MAX_SIDE = 8192
"""Longest side of a crop in pixels: far above any training set, far below what OpenCV can warp (32766)."""


def expand_styles(names: Iterable[str]) -> tuple[str, ...]:
    """Resolve `all`, drop repetitions, and put the styles into the order of `CROP_STYLES`.

    Raises:
        UsageError: a name that is no style.
    """
    asked: set[str] = set()
    for name in names:
        if name == "all":
            asked.update(ALL_STYLES)
        elif name in CROP_STYLES:
            asked.add(name)
        else:
            raise UsageError(f"--crop-style must be one of {', '.join((*CROP_STYLES, 'all'))}, got {name!r}")
    return tuple(style for style in CROP_STYLES if style in asked)


def expand_formats(names: Iterable[str]) -> tuple[str, ...]:
    """Drop repetitions, and put the formats into the order of `CROP_FORMATS`.

    Raises:
        UsageError: a name that is no format.
    """
    asked = set(names)
    unknown = sorted(asked.difference(CROP_FORMATS))
    if unknown:
        raise UsageError(f"--crop-format must be one of {', '.join(CROP_FORMATS)}, got {unknown[0]!r}")
    return tuple(one for one in CROP_FORMATS if one in asked)


def check_side(styles: Iterable[str], side: int) -> None:
    """Check that every style can be cut at this side.

    Raises:
        UsageError: a side out of 1–`MAX_SIDE`, or one that `buffalo` does not have.
    """
    if not 1 <= side <= MAX_SIDE:
        raise UsageError(f"--crop-size must be 1 to {MAX_SIDE} pixels, got {side}")
    if "buffalo" in styles:
        buffalo_scale(side)


def buffalo_scale(side: int) -> tuple[float, float]:
    """Scale and shift of the 112-pixel ArcFace template for another side.

    A multiple of 112 is tested first, so 896 = 8·112 = 7·128 scales by 8.

    Returns:
        (scale, x_shift): a template point (x, y) goes to (scale·x + x_shift, scale·y), pixels.

    Raises:
        UsageError: a side that is a multiple neither of 112 nor of 128.
    """
    if side > 0 and side % 112 == 0:
        return side / 112, 0.0
    if side > 0 and side % 128 == 0:
        return side / 128, 8.0 * (side / 128)
    raise UsageError(f"--crop-size for the style buffalo must be a multiple of 112 or 128, got {side}")
