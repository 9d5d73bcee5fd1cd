"""Stems: no two images of a folder can ever write the same file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.artifacts import plan_artifacts
from common.options import JobOptions
from common.stems import is_image_name, settle_stems
from common.styles import CROP_STYLES

EVERYTHING = JobOptions(
    n_augmentations=2,
    with_original=True,
    crop_styles=CROP_STYLES,
    full_masked=True,
    full_original=True,
    labels=True,
)

# Names are put together from what artifact names are made of, so that they meet often.
_parts = st.sampled_from(
    [
        *(b"a", b"b", b"_", b"_aug0", b"_aug1", b"_face0", b"_face1", b"_original", b"_masked", b"_mask"),
        *(b"_buffalo", b"_scale_shift", b"_original_cropping", b"_buffalo_loose", b"_cropping"),
        *(b".jpg", b".png"),
    ]
)
_endings = st.sampled_from([b".jpg", b".png", b".JPG", b".tiff"])
_names = st.builds(
    lambda first, rest, ending: first + b"".join(rest) + ending,
    st.sampled_from([b"a", b"A", b"b"]),
    st.lists(_parts, max_size=4),
    _endings,
)
_folders = st.lists(_names, unique=True, max_size=6)


def settled(names: Iterable[bytes], recorded: Mapping[bytes, bytes] | None = None) -> dict[bytes, bytes]:
    """Name → stem of those that are not recorded."""
    once = list(dict.fromkeys(names))
    stems = settle_stems(once, recorded)
    return {name: stems.of(name) for name in once if name not in (recorded or {})}


def all_files(stem: bytes) -> set[bytes]:
    """Whatever an image with this stem could write: one face or two."""
    return {
        artifact.path for indices in ((0,), (0, 1)) for artifact in plan_artifacts(EVERYTHING, stem, indices)
    }


def assert_apart(stems: dict[bytes, bytes]) -> None:
    owners: dict[bytes, bytes] = {}
    for name, stem in stems.items():
        for path in all_files(stem):
            assert path not in owners, f"{name!r} and {owners[path]!r} both write {path!r}"
            owners[path] = name


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        ([], []),
        ([b"a.jpg"], [b"a"]),
        ([b"a.jpg", b"b.jpg"], [b"a", b"b"]),
        ([b"a.jpg", b"a.png"], [b"a.jpg", b"a.png"]),
        ([b"a.jpg", b"a.png", b"A.JPG"], [b"a.jpg", b"a.png", b"A.JPG"]),
        ([b"a.jpg", b"a_aug0.jpg"], [b"a.jpg", b"a_aug0.jpg"]),
        ([b"a.jpg", b"a_face1.png", b"c.png"], [b"a.jpg", b"a_face1.png", b"c"]),
        ([b"a.jpg", b"a_original.png"], [b"a.jpg", b"a_original.png"]),
        ([b"a.jpg", b"a_masked.png"], [b"a.jpg", b"a_masked.png"]),
        ([b"a.jpg", b"a_landmarks.png"], [b"a.jpg", b"a_landmarks.png"]),
        ([b"a.jpg", b"a_scale_shift.jpg"], [b"a.jpg", b"a_scale_shift.jpg"]),
        ([b"a.jpg", b"a_original_cropping.jpg"], [b"a.jpg", b"a_original_cropping.jpg"]),
        ([b"a.jpg", b"ab.jpg", b"a_b.jpg"], [b"a", b"ab", b"a_b"]),
        ([b"a_aug0.jpg", b"a_aug1.jpg"], [b"a_aug0", b"a_aug1"]),
        ([b"\xff.jpg", b"\xff.png"], [b"\xff.jpg", b"\xff.png"]),
    ],
)
def test_stems_are_those_of_the_spec(names: list[bytes], stems: list[bytes]) -> None:
    assert settled(names) == dict(zip(names, stems, strict=True))


def test_one_that_arrives_later_takes_its_whole_name() -> None:
    assert settled([b"a.jpg", b"a.png"], {b"a.jpg": b"a"}) == {b"a.png": b"a.png"}
    assert settled([b"a_aug0.png", b"c.png"], {b"a.jpg": b"a"}) == {
        b"a_aug0.png": b"a_aug0.png",
        b"c.png": b"c",
    }
    assert settled([b"a.png"], {b"a_aug0.jpg": b"a_aug0"}) == {b"a.png": b"a.png"}


def test_a_whole_name_that_is_an_earlier_stem_is_not_taken_twice() -> None:
    recorded = {b"a.jpg.png": b"a.jpg", b"a.png": b"a"}
    later = settled([b"a.jpg"], recorded)
    assert_apart({**recorded, **later})


@settings(max_examples=300, deadline=None)
@given(_folders)
def test_no_two_images_of_a_folder_can_write_the_same_file(names: list[bytes]) -> None:
    stems = settled(names)
    assert set(stems) == set(names)
    assert_apart(stems)


@settings(max_examples=300, deadline=None)
@given(_folders, _folders)
def test_images_that_come_later_write_over_none_either(first: list[bytes], later: list[bytes]) -> None:
    recorded = settled(first)
    added = settled([*first, *later], recorded)
    assert set(added) == set(later) - set(first)
    assert_apart({**recorded, **added})


@given(_folders)
def test_the_order_of_the_names_does_not_matter(names: list[bytes]) -> None:
    assert settled(names) == settled(list(reversed(names)))


@pytest.mark.parametrize("name", [b"a.jpg", b"a.JPEG", b"a.Png", b"a.bmp", b"a.webp", b"a.tif", b"a.TIFF"])
def test_images_are_known_by_their_extension(name: bytes) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize("name", [b"a.gif", b"a", b"jpg", b".jpg", b".hidden.jpg", b"a.jpg.txt", b""])
def test_what_is_hidden_or_has_another_extension_is_no_image(name: bytes) -> None:
    assert not is_image_name(name)
