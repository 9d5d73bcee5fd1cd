"""What a `maskmill segment` command means: which job, which images, which masker; checked at the door."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from common.errors import UsageError
from common.escaping import escape
from common.ledger.jobs import RecordedJob
from common.ledger.segments import SegmentRequest
from common.maskers import Masker, read_masker
from common.settings import Settings
from producer.chosen import Choice, Chosen, CropFolders, choose, choose_job
from producer.inputs import read_inputs
from producer.jobs import open_database, pick_job, pick_jobs
from producer.local import DATABASE_NAME, database_of, upgrade_output
from producer.request import make_output

log = logging.getLogger("maskmill.segment")


@dataclass(frozen=True)
class Asked:
    """One command.

    Attributes:
        is_local: the database is that of a folder, such as an output of `maskmill run`: it is worked on here.
        chosen: the images of its inputs.
        is_confined: to them; otherwise it is the whole job.
    """

    engine: Engine
    job: RecordedJob
    is_local: bool
    request: SegmentRequest
    chosen: Chosen
    is_confined: bool


@dataclass(frozen=True)
class _Found:
    engine: Engine
    job: RecordedJob
    chosen: Chosen | None
    is_output: bool


def read_request(job_given: str | None, flags: Mapping[str, Any], settings: Settings) -> Asked:
    """Check a command; of the database nothing is changed but an old schema of a `run` output.

    Raises:
        UsageError: something is missing or impossible; one sentence.
        UnfitError: the database or the network is missing or unfit.
    """
    if flags["output"] is None and (flags["mode"] == "preview" or flags["full"]):
        word = "--mode preview" if flags["mode"] == "preview" else "--full"
        raise UsageError(f"{word} needs --output DIR, the folder for the pictures")
    if flags["input_type"] == "faces" and not flags["inputs"]:
        raise UsageError("--input-type faces needs --input DIR, a folder of face crops")
    masker = read_masker(flags["masker"])
    found = _find(job_given, flags)
    engine, job, chosen = found.engine, found.job, found.chosen
    if chosen is not None and chosen.unknown:
        what = "crops of --input (unknown_face)" if flags["input_type"] == "faces" else "images of --input"
        first = "" if chosen.first_unknown is None else f", the first: {escape(chosen.first_unknown)}"
        log.warning("%d %s have no row in job %s and are skipped%s", chosen.unknown, what, job.name, first)
    if job.state == "running" or job.scanned_at is None:
        log.warning("job %s has not ended: only faces that are found so far are segmented", job.name)
    request = _request(masker, flags)
    url = str(engine.url.render_as_string(hide_password=False))
    is_local = found.is_output or url == database_of(job.output)
    if is_local and masker.network is not None and flags["mode"] != "preview":
        _try(request, settings)
    if request.previews is not None:
        make_output(request.previews)
    return Asked(
        engine,
        job,
        is_local,
        request,
        chosen or Chosen(),
        is_confined=chosen is not None,
    )


def find_target(job_given: str | None, flags: Mapping[str, Any]) -> tuple[Engine, RecordedJob, bool]:
    """The job of a command that has no inputs: its database, the job, whether the output is on this machine.

    Raises:
        UsageError, UnfitError: as with `read_request`.
    """
    found = _find(job_given, flags)
    return found.engine, found.job, found.is_output


def _find(job_given: str | None, flags: Mapping[str, Any]) -> _Found:
    """The database, the job, and the images that the inputs confine it to."""
    folder = "." if job_given is None else job_given
    is_output = os.path.exists(os.path.join(os.fsencode(folder), DATABASE_NAME))
    if job_given is not None and os.path.isdir(job_given) and not is_output:
        raise UsageError(f"{job_given} has no maskmill.db: it is no output of `maskmill run`")
    if is_output and flags["database_url"] is None:
        upgrade_output(os.path.realpath(os.fsencode(folder)))
        engine, name = open_database(folder, None), None
    else:
        is_output = False
        engine, name = open_database(None, flags["database_url"]), job_given
    choice = _choice(engine, flags)
    if choice is None:
        return _Found(engine, pick_job(engine, name), None, is_output)
    if name is None:
        job, chosen = choose_job(pick_jobs(engine, None), choice, " ".join(flags["inputs"]))
    else:
        job = pick_job(engine, name)
        chosen = choice(job)
    return _Found(engine, job, chosen, is_output)


def _choice(engine: Engine, flags: Mapping[str, Any]) -> Choice | None:
    """What the inputs say; None where there are none."""
    if flags["input_type"] == "faces":
        return CropFolders(engine, flags["inputs"]).chosen
    if not flags["inputs"]:
        return None
    inputs = read_inputs(flags["inputs"], flags["input_root"])
    return lambda job: choose(engine, job, inputs)


def _request(masker: Masker, flags: Mapping[str, Any]) -> SegmentRequest:
    # The order of crop folders is what the rows of their crops refer to.
    given = [_absolute_text(one) for one in flags["inputs"]]
    return SegmentRequest(
        masker=masker.name,
        network=None if masker.network is None else os.fsencode(masker.network),
        mode=flags["mode"],
        input_type=flags["input_type"],
        selection=json.dumps(given) if given else "",
        previews=None if flags["output"] is None else os.path.realpath(os.fsencode(flags["output"])),
        full_size=flags["full"],
        blur_kernel=flags["blur_kernel"],
        threshold=flags["threshold"],
    )


def _absolute_text(given: str) -> str:
    mark = "@" if given.startswith("@") else ""
    return mark + escape(os.path.realpath(os.fsencode(given.removeprefix("@"))))


def _try(request: SegmentRequest, settings: Settings) -> None:
    """Open the network of a segmentation that is worked on here, before anything is written."""
    from workers.runtime import Runtime

    Runtime(settings).masker(request)
