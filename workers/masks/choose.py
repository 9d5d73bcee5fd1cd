"""Which mask a variant wears."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from common.chance import rng_for, seed_for
from common.kinds import MASK_TYPES, PATTERNS, MaskKind, kinds_of
from workers.masks.spec import MaskSpec

# People put a mask on to about this accuracy; more would uncover the nose tip or touch the eyes.
MAX_OFFSET = 0.02
MAX_ROTATION_DEG = 2.5
# How tight a mask sits is one of so many steps above loose, so that its surface is worked out once.
TIGHTNESS_STEPS = 4


def choose(
    seed: int,
    rel_path: bytes,
    variant: int,
    face_index: int | None,
    mask_types: Sequence[str],
    colors: Sequence[str],
    wears: Sequence[str] = ("correct",),
) -> tuple[MaskSpec, np.random.Generator]:
    """Return the mask of a variant and the generator of its texture.

    The type is drawn uniformly, then the kind or colour within it. The variants of one (seed, image, face)
    do not repeat a (type, colour) while others remain; then a fresh round begins. The answer does not
    depend on how many variants the job asks for.

    Args:
        seed: the job's seed.
        rel_path: the image's path from its root, POSIX bytes.
        variant: from 0.
        face_index: the face, or None for one mask shared by all faces of the image.
        mask_types: canonical names; empty means all.
        colors: `#rrggbb` lower case, for every type; empty means the palette of `common.kinds`.
        wears: the ways of wearing it to draw from, uniformly; at least one.
    """
    whose: tuple[str | int, ...] = ("all",) if face_index is None else ("face", face_index)
    wardrobe = _wardrobe(tuple(mask_types), tuple(colors))
    turn, steps = divmod(variant, sum(len(choices) for choices in wardrobe))
    rng = rng_for(seed, rel_path, "kind", turn, *whose)
    kind = _draw(wardrobe, steps, rng)
    placement = rng_for(seed, rel_path, "placement", variant, *whose)
    spec = MaskSpec(
        kind=kind.name,
        mask_type=kind.mask_type,
        color=kind.color,
        pattern=kind.pattern,
        y_offset=round(float(placement.uniform(-MAX_OFFSET, MAX_OFFSET)), 5),
        rotation_deg=round(float(placement.uniform(-MAX_ROTATION_DEG, MAX_ROTATION_DEG)), 3),
        wear=_wear(wears, seed, rel_path, "wear", variant, *whose),
        tightness=int(placement.integers(TIGHTNESS_STEPS + 1)) / TIGHTNESS_STEPS,
    )
    return spec, rng_for(*texture_key(seed, rel_path, variant, face_index))


def texture_seed(seed: int, rel_path: bytes, variant: int, face_index: int | None) -> str:
    """Return the seed of a mask's texture, 32 hexadecimal digits; arguments as in `choose`."""
    return f"{seed_for(*texture_key(seed, rel_path, variant, face_index)):032x}"


def texture_key(
    seed: int, rel_path: bytes, variant: int, face_index: int | None
) -> tuple[int, bytes, str, int, str] | tuple[int, bytes, str, int, str, int]:
    """Return what the texture of a mask depends on."""
    whose = ("all",) if face_index is None else ("face", face_index)
    return (seed, rel_path, "texture", variant, *whose)


def _wear(wears: Sequence[str], seed: int, rel_path: bytes, *key: str | int) -> str:
    """Return one of the ways of wearing, drawn with a generator of its own."""
    return wears[0] if len(wears) == 1 else wears[int(rng_for(seed, rel_path, *key).integers(len(wears)))]


@lru_cache(maxsize=16)
def _wardrobe(
    mask_types: tuple[str, ...], colors: tuple[str, ...]
) -> tuple[tuple[tuple[MaskKind, ...], ...], ...]:
    """Return for each type its colours, and for each colour its patterns; the palette has one of each."""
    return tuple(
        _own_colors(mask_type, colors) if colors else tuple((kind,) for kind in kinds_of(mask_type))
        for mask_type in dict.fromkeys(mask_types or MASK_TYPES)
    )


def _own_colors(mask_type: str, colors: Sequence[str]) -> tuple[tuple[MaskKind, ...], ...]:
    """Return, for each of the user's colours, the patterns of the type in it."""
    plain = PATTERNS[mask_type][0]
    return tuple(
        tuple(
            MaskKind(mask_type if pattern == plain else f"{mask_type}-{pattern}", mask_type, color, pattern)
            for pattern in PATTERNS[mask_type]
        )
        for color in dict.fromkeys(colors)
    )


def _draw(
    wardrobe: tuple[tuple[tuple[MaskKind, ...], ...], ...], steps: int, rng: np.random.Generator
) -> MaskKind:
    """Return the choice after `steps` others were taken out: type, then colour, then pattern."""
    left = [list(choices) for choices in wardrobe]
    while True:
        left = [choices for choices in left if choices]
        choices = left[int(rng.integers(len(left)))]
        patterns = choices.pop(int(rng.integers(len(choices))))
        kind = patterns[int(rng.integers(len(patterns)))]
        if steps == 0:
            return kind
        steps -= 1
