"""Which mask a variant wears, and the chance behind it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from common import chance
from common.chance import rng_for
from common.kinds import KINDS, MASK_TYPES
from workers.masks.choose import choose
from workers.masks.spec import MaskSpec

COLORS = ("#112233", "#445566", "#778899")


def _specs(count: int, types: tuple[str, ...] = (), colors: tuple[str, ...] = ()) -> list[MaskSpec]:
    return [choose(7, b"people/a.jpg", variant, None, types, colors)[0] for variant in range(count)]


def test_the_same_question_gets_the_same_answer() -> None:
    first, rng = choose(1, b"a.jpg", 2, 0, (), ())
    second, again = choose(1, b"a.jpg", 2, 0, (), ())
    assert first == second
    assert rng.bytes(64) == again.bytes(64)


@pytest.mark.parametrize(
    "other",
    [
        (2, b"a.jpg", 0, 0),
        (1, b"b.jpg", 0, 0),
        (1, b"a.jpg", 1, 0),
        (1, b"a.jpg", 0, 1),
        (1, b"a.jpg", 0, None),
    ],
)
def test_every_part_of_the_key_changes_placement_and_texture(
    other: tuple[int, bytes, int, int | None],
) -> None:
    spec, rng = choose(1, b"a.jpg", 0, 0, (), ())
    other_spec, other_rng = choose(*other, (), ())
    assert (spec.y_offset, spec.rotation_deg) != (other_spec.y_offset, other_spec.rotation_deg)
    assert rng.bytes(16) != other_rng.bytes(16)


def test_the_texture_does_not_depend_on_the_types_asked_for() -> None:
    assert choose(1, b"a", 0, 0, (), ())[1].bytes(16) == choose(1, b"a", 0, 0, ("N95",), COLORS)[1].bytes(16)


def test_no_type_and_color_comes_back_while_others_remain() -> None:
    worn = [(spec.mask_type, spec.color) for spec in _specs(2 * len(KINDS))]
    everything = {(kind.mask_type, kind.color) for kind in KINDS}
    assert set(worn[: len(KINDS)]) == everything
    assert set(worn[len(KINDS) :]) == everything


def test_two_types_in_three_own_colors_make_six_masks() -> None:
    specs = _specs(6, ("surgical", "cloth"), COLORS)
    assert {(spec.mask_type, spec.color) for spec in specs} == {
        (mask_type, color) for mask_type in ("surgical", "cloth") for color in COLORS
    }
    assert {spec.kind for spec in specs if spec.mask_type == "surgical"} == {"surgical"}
    assert all(spec.kind in {"cloth", f"cloth-{spec.pattern}"} for spec in specs if spec.mask_type == "cloth")


def test_one_type_in_one_color_is_worn_again_and_again() -> None:
    assert {(spec.mask_type, spec.color) for spec in _specs(5, ("KN95",), ("#010203",))} == {
        ("KN95", "#010203")
    }


def test_a_type_named_twice_counts_once() -> None:
    assert _specs(4, ("KN95", "KN95")) == _specs(4, ("KN95",))


def test_the_palette_keeps_to_the_types_asked_for() -> None:
    assert {spec.mask_type for spec in _specs(12, ("N95", "KN95"))} == {"N95", "KN95"}


def test_types_are_drawn_evenly() -> None:
    first = Counter(choose(0, b"%d" % path, 0, None, (), ())[0].mask_type for path in range(2000))
    # 2000 draws among four: 500 each with a spread of 19.
    assert set(first) == set(MASK_TYPES)
    assert all(420 < count < 580 for count in first.values())


def test_offset_and_rotation_stay_within_their_limits() -> None:
    specs = [choose(0, b"%d" % path, 0, None, (), ())[0] for path in range(500)]
    assert max(abs(spec.y_offset) for spec in specs) <= 0.02
    assert max(abs(spec.rotation_deg) for spec in specs) <= 2.5
    assert min(spec.y_offset for spec in specs) < -0.018
    assert max(spec.rotation_deg for spec in specs) > 2.3


def test_parts_of_a_key_cannot_run_into_each_other() -> None:
    draws = [
        rng_for(1, b"ab", "c").bytes(8),
        rng_for(1, b"a", "bc").bytes(8),
        rng_for(1, b"ab", "c", 1).bytes(8),
        rng_for(1, b"ab", "c1").bytes(8),
        rng_for(1, b"ab", "c", "1").bytes(8),
        rng_for(11, b"ab", "c").bytes(8),
        rng_for(-1, b"ab", "c").bytes(8),
        rng_for(1, b"ab").bytes(8),
    ]
    assert len(set(draws)) == len(draws)


def test_a_path_that_is_no_utf8_and_a_seed_beyond_64_bits_have_their_chance() -> None:
    assert rng_for(2**80, b"\xff\xfe/a.jpg").bytes(8) == rng_for(2**80, b"\xff\xfe/a.jpg").bytes(8)


def test_a_seed_with_zeros_in_front_gives_the_generator_of_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chance, "_digest", lambda *parts: (5).to_bytes(16, "big"))
    assert rng_for(1, b"a").bytes(16) == np.random.Generator(np.random.PCG64(5)).bytes(16)
