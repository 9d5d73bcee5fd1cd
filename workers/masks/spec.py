"""What one drawn mask is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MaskSpec:
    """One mask, and where it sits on the face.

    Attributes:
        kind: a name of `common.kinds`, or a bare type or `type-pattern` in the user's own colour.
        mask_type: the family, one of `common.kinds.MASK_TYPES`.
        color: the fabric's colour in white light, `#rrggbb` lower case.
        pattern: one of `common.kinds.PATTERNS[mask_type]`.
        y_offset: how far the mask sits below its place, a fraction of the face height; negative is up.
        rotation_deg: how far it is turned on the face, degrees; positive is clockwise as seen.
        wear: one of `common.kinds.WEARS`.
        tightness: how it fits, 0 loose to 1 tight.
    """

    kind: str
    mask_type: str
    color: str
    pattern: str
    y_offset: float = 0.0
    rotation_deg: float = 0.0
    wear: str = "correct"
    tightness: float = 0.5
