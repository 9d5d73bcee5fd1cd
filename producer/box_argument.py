"""What `--boxes` names: a CSV file, the output of another run, or a job of the configured database."""

from __future__ import annotations

import hashlib
import os

from sqlalchemy import Engine

from common.errors import UsageError
from common.ledger.jobs import RecordedJob
from producer.box_rows import read_rows
from producer.boxes import JOB, BoxSource, CsvBoxes, JobBoxes
from producer.jobs import open_database, pick_job


def read_boxes(given: str, output: str, database_url: str | None = None) -> BoxSource:
    """Where `--boxes` leads; a file is read once, so that nothing is written for one with a bad row.

    Args:
        given: a CSV file, the output folder of a `run`, or `job:NAME` in the configured database.
        output: of the job to be made.

    Raises:
        UsageError: no such thing, or a bad row: one sentence with its line.
        UnfitError: the other job's database does not answer.
    """
    if given.startswith(JOB):
        engine = open_database(None, database_url)
        return _job_boxes(given, engine, pick_job(engine, given.removeprefix(JOB)), output)
    if os.path.isdir(given):
        engine = open_database(given, None)
        return _job_boxes(given, engine, pick_job(engine, None), output)
    try:
        with open(given, "rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as exc:
        raise UsageError(f"--boxes {given}: it cannot be read ({exc.strerror})") from exc
    for _ in read_rows(given):
        pass
    return CsvBoxes(given, f"sha256:{digest[:32]}")


def _job_boxes(given: str, engine: Engine, job: RecordedJob, output: str) -> JobBoxes:
    if job.output == os.path.realpath(os.fsencode(output)):
        raise UsageError(f"--boxes {given}: that is the job of --output itself; give another output")
    return JobBoxes(engine, job)
