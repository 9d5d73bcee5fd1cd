"""The catalogue of masks, and the words that users give for it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from common.errors import UsageError
from common.kinds import KINDS, MASK_TYPES, PATTERNS, kinds_of, parse_mask_color, parse_mask_type


def test_the_catalogue_has_a_dozen_kinds_or_more_and_every_type() -> None:
    assert len(KINDS) >= 12
    assert MASK_TYPES == ("surgical", "N95", "KN95", "cloth")
    assert {kind.mask_type for kind in KINDS} == set(MASK_TYPES)


def test_every_kind_has_its_own_name_and_its_own_color_within_the_type() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert len({(kind.mask_type, kind.color) for kind in KINDS}) == len(KINDS)


def test_every_kind_is_well_formed() -> None:
    for kind in KINDS:
        assert kind.name.startswith(f"{kind.mask_type}-")
        assert re.fullmatch("#[0-9a-f]{6}", kind.color)
        assert kind.pattern in PATTERNS[kind.mask_type]


def test_the_kinds_of_an_unknown_type_are_none() -> None:
    assert kinds_of("leather") == ()
    assert [kind.name for kind in kinds_of("KN95")] == ["KN95-white", "KN95-black", "KN95-grey"]


@pytest.mark.parametrize(
    ("text", "name"), [("surgical", "surgical"), ("SURGICAL", "surgical"), ("n95", "N95"), (" Kn95 ", "KN95")]
)
def test_a_type_is_found_whatever_its_case(text: str, name: str) -> None:
    assert parse_mask_type(text) == name


@pytest.mark.parametrize("text", ["", "n 95", "N96", "surgical-blue", "ﬃ"])
def test_an_unknown_type_is_a_usage_error_that_lists_the_types(text: str) -> None:
    with pytest.raises(UsageError, match="surgical, N95, KN95, cloth"):
        parse_mask_type(text)


@pytest.mark.parametrize(
    ("text", "color"),
    [
        ("#1A2B3C", "#1a2b3c"),
        ("#abc", "#aabbcc"),
        ("#FFF", "#ffffff"),
        ("1a2b3c", "#1a2b3c"),
        (" #000 ", "#000000"),
    ],
)
def test_a_color_becomes_six_lower_case_digits(text: str, color: str) -> None:
    assert parse_mask_color(text) == color


@pytest.mark.parametrize(
    "text", ["", "#", "#12", "#1234", "#12345", "#1234567", "#ggg", "red", "#１２３", "##abc"]
)
def test_what_is_no_color_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="#rrggbb"):
        parse_mask_color(text)


def test_the_command_line_gets_the_catalogue_without_numpy() -> None:
    code = "import sys, common.kinds; sys.exit('numpy' in sys.modules or 'cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
