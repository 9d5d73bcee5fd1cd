"""`--skip-existing`: which images have all their artifacts already."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sqlalchemy import Engine

from common.artifacts import plan_artifacts
from common.ledger.images import done_paths, known_stems
from common.ledger.jobs import RecordedJob
from common.options import JobOptions


class Existing:
    """Finds images that need not be done: by their rows, else by the files in the output.

    An image with a row counts by its row alone: one that is done stays done, one that is open or failed goes
    on, whatever lies in the output. One without a row (the files are of another database) counts by the
    files that the options ask for, all of them; how many faces it has is told by the names.
    """

    def __init__(self, engine: Engine, job: RecordedJob) -> None:
        self._engine = engine
        self._job = job

    def among(self, stems: Mapping[bytes, bytes]) -> set[bytes]:
        """Those of some images that have everything.

        Args:
            stems: relative path → stem.
        """
        paths = list(stems)
        done = done_paths(self._engine, self._job.id, paths)
        known = known_stems(self._engine, self._job.id, paths)
        options, output = self._job.options, self._job.output
        return done | {path for path in paths if path not in known and is_made(options, output, stems[path])}


def is_made(options: JobOptions, output: bytes, stem: bytes) -> bool:
    """Every file that the options ask for lies in the output, for as many faces as have any."""

    def is_whole(faces: int) -> bool:
        planned = plan_artifacts(options, stem, range(faces))
        return all(os.path.lexists(os.path.join(output, one.path)) for one in planned)

    if is_whole(1):
        return True
    if not options.crop_styles or not is_whole(2):
        return False
    faces = 3
    while any(
        os.path.lexists(os.path.join(output, one.path))
        for one in plan_artifacts(options, stem, range(faces))
        if one.face_index == faces - 1
    ):
        if not is_whole(faces):
            return False
        faces += 1
    return True
