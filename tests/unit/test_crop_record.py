"""What a crop says of itself, checked: files are not trusted."""

from __future__ import annotations

from typing import Any

import pytest

from common.crop_record import CropRecord, crop_record_of
from common.errors import ImageError
from tests.unit.records import MASK, provenance


def test_a_whole_record_goes_there_and_back() -> None:
    record = crop_record_of({"provenance": provenance(), "user": {"x": 1}})
    assert record is not None
    assert record.mask is not None
    assert record.mask.kind == "N95-white"
    assert crop_record_of(record.as_record()) == record
    assert record.as_record() == {"provenance": provenance()}


def test_what_has_no_provenance_is_no_crop() -> None:
    assert crop_record_of(None) is None
    assert crop_record_of({"user": {}}) is None


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert crop_record_of({"provenance": provenance(light="soft")}) == crop_record_of(
        {"provenance": provenance()}
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"job": "xyz"},
        {"relative_path": "../../etc/passwd"},
        {"relative_path": "/etc/passwd"},
        {"relative_path": "a\\x00b"},
        {"relative_path": ""},
        {"stem": "a/../../b"},
        {"image_path": "\ud800"},
        {"image_size": [-1, 5]},
        {"face_index": -1},
        {"face_index": 2**40},
        {"box": [1, 2, 3]},
        {"box": [1, 2, 3, float("inf")]},
        {"points_5": [[1, 2]] * 4},
        {"points_68": [[1, 2]] * 67},
        {"crop_style": "round"},
        {"crop_size": 10**9},
        {"matrix": [[1, 2, 3]]},
        {"variant": -1},
        {"variant": None},
        {"seed": 2**70},
        {"mask": {**MASK, "mask_color": "red"}},
        {"mask": {**MASK, "kind": "a\0b"}},
        {"mask": {**MASK, "box": [1, 2, 3, 2**40]}},
        {"mask": "N95"},
        {"options": []},
    ],
)
def test_an_impossible_value_is_refused_by_name(changes: dict[str, Any]) -> None:
    with pytest.raises(ImageError) as caught:
        crop_record_of({"provenance": provenance(**changes)})
    name = "provenance" if changes == {"variant": None} else next(iter(changes))
    assert caught.value.code == "unreadable"
    assert name in str(caught.value)


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_a_provenance_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(ImageError):
        crop_record_of({"provenance": value})


def test_every_field_but_those_of_choice_is_needed() -> None:
    of_choice = {name for name, one in CropRecord.model_fields.items() if not one.is_required()}
    assert of_choice == {"score", "angle", "points_5", "points_68", "options", "mask"}
