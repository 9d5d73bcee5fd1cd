"""Recording: every image that enumeration meets becomes a row, in bulk, before anything is sent."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from sqlalchemy import Engine

from common.database import persistently
from common.ledger.images import (
    NewImage,
    has_images,
    known_stems,
    owners_of,
    record_images,
    stems_in_folder,
)
from common.ledger.jobs import RecordedJob, add_inputs, find_job, set_job
from common.stems import Stems, settle_stems
from producer.existing import Existing
from producer.inputs import Input
from producer.scan import Found, Scanner, batches

_FIRST_BATCH = 64
_BATCH = 5000
"""Rows a commit: 92,000 rows/s in PostgreSQL from about here on; the first batch is small so that the
workers have something to do at once."""
_FOLDERS_KEPT = 64


class _StemsOfJob:
    """The stems of the folders that are being recorded."""

    def __init__(self, engine: Engine, job_id: int, names_in: Callable[[bytes], Iterable[bytes]]) -> None:
        self._engine = engine
        self._job_id = job_id
        self._names_in = names_in
        self.is_new_job = not has_images(engine, job_id)
        self._folders: OrderedDict[bytes, Stems] = OrderedDict()

    def of(self, relative_paths: Sequence[bytes]) -> dict[bytes, bytes]:
        """Relative path → stem with folder; what is recorded keeps its stem."""
        known = {} if self.is_new_job else known_stems(self._engine, self._job_id, relative_paths)
        last: bytes | None = None
        for path in relative_paths:
            if path not in known:
                folder, slash, name = path.rpartition(b"/")
                if folder != last:
                    stems, last = self._in_folder(folder), folder
                known[path] = folder + slash + stems.of(name)
        return known

    def _in_folder(self, folder: bytes) -> Stems:
        # A folder's files come in pieces, between those of its sub-folders: some folders are kept.
        if folder not in self._folders:
            recorded = {} if self.is_new_job else stems_in_folder(self._engine, self._job_id, folder)
            self._folders[folder] = settle_stems(self._names_in(folder), recorded)
            if len(self._folders) > _FOLDERS_KEPT:
                self._folders.popitem(last=False)
        self._folders.move_to_end(folder)
        return self._folders[folder]


class _Places:
    """Which input row and relative path each found image is recorded under.

    When a job is continued, an image may have come whose relative path another input has taken since: it is
    recorded under the last name of its root, as a further input with that prefix.
    """

    def __init__(self, engine: Engine, job: RecordedJob, scanner: Scanner, input_ids: Sequence[int]) -> None:
        self._engine = engine
        self._job = job
        self._inputs = scanner.inputs
        self._input_ids = input_ids
        roots = {one.root for one in scanner.inputs} | {one.root for one in job.inputs}
        self._have_one_root = len(roots) == 1
        self._may_meet = len(roots) > 1 and has_images(engine, job.id)
        self._root_of = {one.id: one.root for one in job.inputs}
        self._aside: dict[int, tuple[Input, int]] = {}

    def of(self, batch: Sequence[Found]) -> list[tuple[int, bytes]]:
        """(input row id, relative path) of each image of a batch."""
        if self._have_one_root:
            return [(self._input_ids[one.position], one.relative) for one in batch]
        owners = (
            owners_of(self._engine, self._job.id, [one.relative for one in batch]) if self._may_meet else {}
        )
        return [self._place(one, owners) for one in batch]

    def _place(self, found: Found, owners: dict[bytes, int]) -> tuple[int, bytes]:
        mine = self._input_ids[found.position]
        owner = owners.setdefault(found.relative, mine)
        root = self._inputs[found.position].root
        if self._root_of.get(owner, root) == root:
            return mine, found.relative
        aside, aside_id = self._aside_of(found.position)
        return aside_id, aside.place(found.relative)

    def _aside_of(self, position: int) -> tuple[Input, int]:
        if position not in self._aside:
            one = self._inputs[position]
            # The job is read anew: its inputs may have grown since this command began.
            job = find_job(self._engine, name=self._job.name) or self._job
            taken = {other.prefix for other in job.inputs if other.root != one.root}
            prefix, number = os.path.join(os.path.basename(one.root), one.prefix), 1
            while prefix in taken:
                number += 1
                prefix = os.path.join(b"%s~%d" % (os.path.basename(one.root), number), one.prefix)
            moved = replace(one, prefix=prefix)
            self._aside[position] = (moved, add_inputs(self._engine, job, [moved])[0])
            self._root_of[self._aside[position][1]] = one.root
        return self._aside[position]


class _Recorder:
    """Commits batches one after the other; with a server, one while the next is enumerated.

    Args:
        is_beside: nothing is read that a batch under way could change. SQLite's driver gives up the interpreter for
            every row and would wait for it as often: there it makes no difference.
    """

    def __init__(self, engine: Engine, job_id: int, *, is_beside: bool) -> None:
        self._engine = engine
        self._job_id = job_id
        self._is_beside = is_beside and engine.dialect.name != "sqlite"
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="record")
        self._running: Future[None] | None = None

    def __enter__(self) -> _Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._pool.shutdown()
        if kind is None:
            self._wait()

    def record(self, rows: Sequence[NewImage]) -> None:
        """Record a batch; an error may come with the next one, or at the end."""
        if not self._is_beside:
            self._commit(rows)
            return
        self._wait()
        self._running = self._pool.submit(self._commit, rows)

    def _commit(self, rows: Sequence[NewImage]) -> None:
        persistently(lambda: record_images(self._engine, self._job_id, rows))

    def _wait(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            running.result()


def record_found(
    engine: Engine,
    job: RecordedJob,
    input_ids: Sequence[int],
    scanner: Scanner,
    found: Iterable[Found],
    *,
    is_stopped: Callable[[], bool] = lambda: False,
    skip_existing: bool = False,
) -> int:
    """Record every image that is found; returns how many. Can be interrupted and repeated anywhere.

    Args:
        input_ids: row ids of the scanner's inputs, in order.
        is_stopped: asked before each commit.
        skip_existing: leave out, and count, images whose artifacts are there already.
    """
    existing = Existing(engine, job) if skip_existing else None
    stems = _StemsOfJob(engine, job.id, scanner.names_in)
    places = _Places(engine, job, scanner, input_ids)
    count = 0
    with _Recorder(engine, job.id, is_beside=stems.is_new_job) as recorder:
        for batch in _growing(found):
            if is_stopped():
                return count
            placed = places.of(batch)
            stem_of = stems.of([path for _, path in placed])
            left_out = existing.among(stem_of) if existing is not None else set()
            for video in {one.frame.video for one in batch if one.frame is not None}:
                scanner.videos.record(engine, job.id, video)
            rows = [
                _row(one, input_id, path, stem_of[path])
                for one, (input_id, path) in zip(batch, placed, strict=True)
                if path not in left_out
            ]
            scanner.skips.left_out += len(left_out)
            recorder.record(rows)
            count += len(rows)
    skips = scanner.skips
    counts = {"found": skips.found, "left_out": skips.left_out}
    persistently(lambda: set_job(engine, job.id, scanned_at=time.time(), **counts))
    return count


def _row(found: Found, input_id: int, path: bytes, stem: bytes) -> NewImage:
    frame, keyframe = (None, None) if found.frame is None else (found.frame.frame, found.frame.keyframe)
    return NewImage(input_id, path, stem, found.size, found.mtime_ns, found.written, frame, keyframe)


def _growing(found: Iterable[Found]) -> Iterator[list[Found]]:
    iterator = iter(found)
    yield list(islice(iterator, _FIRST_BATCH))
    yield from batches(iterator, _BATCH)
