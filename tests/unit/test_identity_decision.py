"""The decision table of the specification and every one of its vectors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.identity.decision import ACCEPT, decide

T = 0.4


@pytest.mark.parametrize(
    ("wanted", "unwanted", "rule"),
    [
        ([0.3], [], ACCEPT),
        ([0.41], [], 1),
        ([0.4], [], ACCEPT),
        ([0.1, 0.8], [], 1),
        ([], [0.5], ACCEPT),
        ([], [0.39], 2),
        ([], [0.4], ACCEPT),
        ([0.3], [0.35], ACCEPT),
        ([0.3], [0.29], 3),
        ([0.2, 0.39, 0.39, 0.39], [0.25, 0.26, 0.27, 0.28], 4),
        ([0.10, 0.38, 0.38, 0.38, 0.38], [0.2, 0.2, 0.2, 0.2, 0.9], 5),
        ([0.10, 0.38, 0.38], [0.2, 0.2, 0.9], ACCEPT),
        ([0.2, 0.2], [0.2, 0.2], ACCEPT),
        ([], [], ACCEPT),
    ],
)
def test_the_vectors_of_the_table(wanted: list[float], unwanted: list[float], rule: int) -> None:
    decision = decide(wanted, unwanted, T)
    assert decision.rule == rule
    assert decision.is_accepted == (rule == 6)
    assert (list(decision.wanted), list(decision.unwanted)) == (wanted, unwanted)


def test_no_more_than_five_neighbours_are_asked() -> None:
    # Of the five nearest three are wanted; of the seven that 6 + 1 would give, three of seven.
    wanted = [0.10, 0.11, 0.12, 0.30, 0.30, 0.30]
    unwanted = [0.15, 0.15, 0.15, 0.15, 0.9, 0.9]
    assert decide(wanted, unwanted, T).rule == ACCEPT


def test_the_order_of_references_decides_nothing() -> None:
    wanted, unwanted = [0.38, 0.10, 0.38, 0.38, 0.38], [0.9, 0.2, 0.2, 0.2, 0.2]
    assert decide(wanted, unwanted, T).rule == decide(sorted(wanted), sorted(unwanted), T).rule == 5


DISTANCES = st.lists(st.floats(0, 2), max_size=8)


@given(DISTANCES, DISTANCES, st.floats(0, 2))
def test_one_list_alone_knows_only_its_own_rule(
    wanted: list[float], unwanted: list[float], threshold: float
) -> None:
    assert decide(wanted, [], threshold).rule in (1, ACCEPT)
    assert decide([], unwanted, threshold).rule in (2, ACCEPT)
    if wanted and unwanted:
        assert decide(wanted, unwanted, threshold).rule != 2
