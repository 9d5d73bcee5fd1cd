"""Whether a face is of a wanted person: the decision table, as a pure function of distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

_NEIGHBOURS = 5
ACCEPT = 6
"""The last rule: no other applied."""


@dataclass(frozen=True)
class Decision:
    """What became of a face.

    Attributes:
        rule: 1 to 5 reject, `ACCEPT` accepts; the first that applies.
        wanted: distances to the wanted references, in their order.
        unwanted: distances to the unwanted ones.
    """

    rule: int
    wanted: tuple[float, ...]
    unwanted: tuple[float, ...]

    @property
    def is_accepted(self) -> bool:
        """The face counts."""
        return self.rule == ACCEPT


def decide(wanted: Sequence[float], unwanted: Sequence[float], threshold: float) -> Decision:
    """Compare a face's distances with each other and with the threshold, strictly; the first rule wins.

    1 mean(F) > t · 2 no F, mean(N) < t · 3 min(F) > min(N) · 4 mean(F) > mean(N) · 5 of the k nearest less than
    half are F, where k = min(5, min(|F|, |N|) + 1) and at equal distances F comes first · 6 otherwise. 3 to 5 ask
    for both. F are the distances to wanted, N those to unwanted people, t is the threshold.

    Args:
        wanted: 1 − cosine to each wanted reference; may be empty.
        unwanted: likewise.
    """
    return Decision(_rule(wanted, unwanted, threshold), tuple(wanted), tuple(unwanted))


def _rule(wanted: Sequence[float], unwanted: Sequence[float], threshold: float) -> int:
    if wanted and fmean(wanted) > threshold:
        return 1
    if not wanted and unwanted and fmean(unwanted) < threshold:
        return 2
    if not (wanted and unwanted):
        return ACCEPT
    if min(wanted) > min(unwanted):
        return 3
    if fmean(wanted) > fmean(unwanted):
        return 4
    k = min(_NEIGHBOURS, min(len(wanted), len(unwanted)) + 1)
    nearest = sorted([(d, 0) for d in wanted] + [(d, 1) for d in unwanted])[:k]
    # Twice the number of F against k: no division, so that exactly half is half.
    return 5 if 2 * sum(kind == 0 for _, kind in nearest) < k else ACCEPT
