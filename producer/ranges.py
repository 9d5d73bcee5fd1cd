"""How waiting images are cut into tasks: frames of a video in ranges that begin with keyframes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, groupby, pairwise

from common.pipeline import MAX_IDS

LONGEST = 4
"""A range may be so many times as long as other tasks, so that it need not begin between two keyframes."""


def pieces(ids: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """The ids in tuples of `size`, the last one shorter."""
    return (tuple(ids[at : at + size]) for at in range(0, len(ids), size))


def in_sizes(ids: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The first ids in tasks of these sizes, as far as they go."""
    ends = [0, *accumulate(sizes)]
    return (tuple(ids[start:end]) for start, end in pairwise(ends) if start < len(ids))


def tapered(ids: Sequence[int], largest: int, least: int, workers: int) -> Iterator[tuple[int, ...]]:
    """The ids in tasks that shrink towards the end, each half of an equal share of what is left.

    So all workers end at about the same time, whatever their pace ("guided self-scheduling": C. D. Polychronopoulos
    and D. J. Kuck, IEEE Transactions on Computers 36, 1987).

    Args:
        largest: images a task at the most.
        least: images a task at the least, but for the last one; a task costs something too.
        workers: that take them.
    """
    at = 0
    while at < len(ids):
        size = min(largest, max(least, -(-(len(ids) - at) // (2 * workers))))
        yield tuple(ids[at : at + size])
        at += size


def cut(
    ids: Sequence[int], size: int, frames: Mapping[int, tuple[int, int]], *, longest: int | None = None
) -> Iterator[tuple[int, ...]]:
    """The ids in tasks of about `size`; frames in ranges that begin with keyframes.

    What is decoded from one keyframe stays together up to `longest` frames, and is cut into equal parts
    beyond that; short ranges that follow each other are joined.

    Args:
        ids: ascending.
        frames: id → (input, keyframe from which it is decoded) of those that are frames.
        longest: images a task at the most; default: `LONGEST` times `size`.
    """
    longest = min(MAX_IDS, max(size, longest or LONGEST * size))
    waiting: list[int] = []
    for key, group in groupby(ids, frames.get):
        members = list(group)
        limit = size if key is None else longest
        if len(waiting) + len(members) <= size:
            waiting += members
            continue
        if waiting:
            yield tuple(waiting)
            waiting = []
        parts = -(-len(members) // limit)
        whole = list(pieces(members, limit if key is None else -(-len(members) // parts)))
        yield from whole[:-1]
        waiting = list(whole[-1])
        if len(waiting) >= size:
            yield tuple(waiting)
            waiting = []
    if waiting:
        yield tuple(waiting)


def without_open_range(ids: list[int], frames: Mapping[int, tuple[int, int]]) -> list[int]:
    """The ids without the last range, of which more frames may wait behind them; all if there is no other."""
    last = frames.get(ids[-1]) if ids else None
    if last is None:
        return ids
    end = len(ids)
    while end and frames.get(ids[end - 1]) == last:
        end -= 1
    return ids[:end] or ids
