"""The angles of `--rotate`."""

from __future__ import annotations

import pytest

from common.angles import parse_angles
from common.errors import UsageError


@pytest.mark.parametrize(
    ("text", "angles"),
    [
        ("", ()),
        ("on", (90, 180, 270)),
        ("90", (90, 180, 270)),
        ("120", (120, 240)),
        ("100", (100, 200, 300)),
        ("180", (180,)),
        ("359", (359,)),
        ("22.5", tuple(22.5 * k for k in range(1, 16))),
        ("270,90", (270, 90)),
        ("90,", (90,)),
        ("-90, 45", (270, 45)),
        ("90,90,180", (90, 180)),
    ],
)
def test_on_a_step_or_a_list_become_angles(text: str, angles: tuple[float, ...]) -> None:
    assert parse_angles(text) == angles


@pytest.mark.parametrize(
    "text", ["off", "0", "360", "0.5", "-30", "90,0", "360,90", "90,x", ",", "nan", "1e9,2"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--rotate must be on, a step"):
        parse_angles(text)
