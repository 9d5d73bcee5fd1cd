"""Messages: anyone who reaches the broker may have written them."""

from __future__ import annotations

import json

import pytest

from common.pipeline import FINAL_STATES, MAX_IDS, OPEN_STATES, ChunkMessage, MessageRefused, read_message


def test_a_message_comes_back_from_its_arguments() -> None:
    message = ChunkMessage("0123abcd", (3, 7, 2**62))
    arguments = json.loads(json.dumps(message.as_kwargs()))
    assert read_message(**arguments) == message


def test_ids_are_sorted_and_each_once() -> None:
    assert read_message(1, "0123abcd", [5, 1, 5]).image_ids == (1, 5)


def test_the_largest_message_is_taken() -> None:
    assert len(read_message(1, "0123abcd", list(range(1, MAX_IDS + 1))).image_ids) == MAX_IDS


@pytest.mark.parametrize("version", [None, 0, 2, 99, "1", [1]])
def test_another_version_is_refused(version: object) -> None:
    with pytest.raises(MessageRefused):
        read_message(version, "0123abcd", [1])


@pytest.mark.parametrize(
    "job", [None, 1, "", "0123abc", "0123abcde", "0123ABCD", "../../et", "0123abc\n", b"0123abcd", ["0"] * 8]
)
def test_a_malformed_job_is_refused(job: object) -> None:
    with pytest.raises(MessageRefused):
        read_message(1, job, [1])


@pytest.mark.parametrize(
    "ids",
    [None, [], {}, (1,), "1", [0], [-1], [2**63], [1.0], ["1"], [True], [None], [[1]], [1] * (MAX_IDS + 1)],
)
def test_ids_that_are_none_are_refused(ids: object) -> None:
    with pytest.raises(MessageRefused):
        read_message(1, "0123abcd", ids)


def test_a_refusal_does_not_repeat_a_huge_value() -> None:
    with pytest.raises(MessageRefused) as caught:
        read_message("x" * 10_000, "0123abcd", [1])
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(None, [7]), (7, [7]), (9, [7]), (6, [4, 3]), (3, [3, 2, 2]), (2, [2, 2, 2, 1]), (1, [1] * 7)],
)
def test_images_are_split_off_in_parts_of_equal_size(most: int | None, sizes: list[int]) -> None:
    rest: ChunkMessage | None = ChunkMessage("0123abcd", tuple(range(1, 8)))
    seen = []
    while rest is not None:
        piece, rest = rest.split_off(most)
        seen.append(piece)
    assert [len(piece.image_ids) for piece in seen] == sizes
    assert [one for piece in seen for one in piece.image_ids] == list(range(1, 8))
    assert {piece.job for piece in seen} == {"0123abcd"}


def test_a_message_is_shown_without_paths() -> None:
    assert str(ChunkMessage("0123abcd", (3,))) == "job 0123abcd image 3"
    assert str(ChunkMessage("0123abcd", (3, 5, 9))) == "job 0123abcd images 3..9"


def test_states_are_those_of_the_spec() -> None:
    assert set(FINAL_STATES) == {"done", "missed", "failed"}
    assert not set(OPEN_STATES) & set(FINAL_STATES)
