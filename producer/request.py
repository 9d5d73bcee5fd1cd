"""What a `run` or `enqueue` command asks for, checked at the door; the job it opens or continues."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from sqlalchemy import Engine

from common.errors import UsageError
from common.escaping import escape
from common.identity import ReferencePicture
from common.ledger.jobs import RecordedJob, add_inputs, find_job, open_job, remove_job, reopen_job
from common.ledger.references import ReferenceRow, find_references, store_references
from common.ledger.reports import image_pages, rows_of
from common.models import Artifact
from common.options import JobOptions, extend
from common.settings import Settings
from common.version import VERSION
from producer.boxes import BoxSource, record_given
from producer.inputs import Input, inside, read_inputs, with_prefixes
from producer.references import new_rows
from producer.scan import Found, Scanner, keep_every
from producer.videos import Videos

_TAKEN_NAMES = (b"logs.csv", b"missed_images.txt", b"maskmill.db", b"maskmill.db-wal", b"maskmill.db-shm")


@dataclass(frozen=True)
class Request:
    """One command.

    Attributes:
        inputs: checked, in the order given.
        output: real path of the output folder, which need not exist.
        output_given: the output as the user wrote it.
        options: what is asked for.
        every_n: only every n-th image, counted from 0.
        skip: 0-based indices of images to leave out.
        follow_symlinks: read linked folders, and links that leave the roots.
        force: start the output's results anew.
        fail_fast: stop at the first failed image.
        skip_existing: leave out images without a row whose artifacts are in the output already.
        videos: the indices of the videos among the inputs.
        boxes: of the detector `manual`.
        references: pictures of wanted and unwanted people.
    """

    inputs: tuple[Input, ...]
    output: bytes
    output_given: bytes
    options: JobOptions
    every_n: int = 1
    skip: frozenset[int] = frozenset()
    follow_symlinks: bool = False
    force: bool = False
    fail_fast: bool = False
    skip_existing: bool = False
    videos: Videos = field(default_factory=Videos)
    boxes: BoxSource | None = None
    references: tuple[ReferencePicture, ...] = ()

    def scanner(self, inputs: Sequence[Input]) -> Scanner:
        """The enumeration of these inputs."""
        return Scanner(inputs, self.output, follow_symlinks=self.follow_symlinks, videos=self.videos)

    def select(self, scanner: Scanner) -> Iterator[Found]:
        """The images that `--every-n` and `--skip-list` leave; the scanner counts the others."""
        if self.every_n == 1 and not self.skip:
            return scanner.images()
        return keep_every(scanner, self.every_n, self.skip.__contains__)


def make_request(
    given: Sequence[str],
    *,
    input_root: str | None,
    output: str,
    options: JobOptions,
    skip_list: str | None,
    every_n: int,
    follow_symlinks: bool,
    force: bool,
    fail_fast: bool,
    skip_existing: bool = False,
    boxes: BoxSource | None = None,
    references: tuple[ReferencePicture, ...] = (),
) -> Request:
    """Check inputs and output; writes nothing.

    Raises:
        UsageError: something is missing or impossible; one sentence.
    """
    output_given = os.fsencode(output)
    request = Request(
        inputs=tuple(read_inputs(given, input_root)),
        output=os.path.realpath(output_given),
        output_given=output_given,
        options=options,
        every_n=every_n,
        skip=_read_skip_list(skip_list),
        follow_symlinks=follow_symlinks,
        force=force,
        fail_fast=fail_fast,
        skip_existing=skip_existing,
        boxes=boxes,
        references=references,
    )
    if any(one.root == request.output and one.kind == "directory" for one in request.inputs):
        raise UsageError(f"--output {escape(output_given)} is the input itself: give another folder")
    if os.path.exists(request.output) and not os.path.isdir(request.output):
        raise UsageError(f"--output {escape(output_given)} is a file: give a folder")
    for one in request.inputs:
        for name in _TAKEN_NAMES:
            if os.path.isdir(os.path.join(one.root, name)):
                raise UsageError(
                    f"--input {escape(one.given)}: its folder {escape(name)} has the name of a file that every output "
                    "has, where its masked pictures would go: rename that folder"
                )
        if one.kind == "video":
            request.videos.index(one.root)
    return request


def first_image(request: Request, scanner: Scanner) -> Iterator[Found]:
    """The images of a request, known to be at least one.

    Args:
        scanner: of the request's inputs; it counts what it leaves out.

    Raises:
        UsageError: there is none.
    """
    images = request.select(scanner)
    first = next(images, None)
    if first is None:
        scanner.skips.tell()
        given = " ".join(("@" if one.kind == "list" else "") + escape(one.given) for one in request.inputs)
        links = scanner.skips.outside_links
        raise UsageError(
            f"--input {given}: no image is in it (.jpg .jpeg .png .bmp .webp .tif .tiff)"
            + (f"; {links} links leave the input (read with --follow-symlinks)" if links else "")
        )
    return chain([first], images)


@dataclass(frozen=True)
class OpenedJob:
    """A job that runs, with what is needed to record its images."""

    job: RecordedJob
    inputs: tuple[Input, ...]
    input_ids: list[int]
    is_new: bool


def open_or_continue(engine: Engine, request: Request, references: Sequence[ReferenceRow] = ()) -> OpenedJob:
    """Open the job of the output, or continue or extend the one that is there.

    Args:
        references: those to record with it.

    Raises:
        UsageError: an option would change files already there.
    """
    job = find_job(engine, output=request.output)
    if job is not None and request.force:
        remove_artifacts(engine, job)
        remove_job(engine, job.id)
        job = None
    is_new = job is None
    if job is None:
        job = open_job(
            engine,
            output=request.output,
            output_given=request.output_given,
            options=request.options,
            follow_symlinks=request.follow_symlinks,
            version=VERSION,
        )
    else:
        _refuse_rebuilt(request, job)
        job = reopen_job(
            engine, job, options=extend(job.options, request.options), follow_symlinks=request.follow_symlinks
        )
    store_references(engine, job.id, references)
    inputs = _with_recorded_prefixes(request, job)
    ids = add_inputs(engine, job, inputs)
    found = find_job(engine, name=job.name)
    assert found is not None
    if request.boxes is not None:
        record_given(engine, found, request.boxes, inputs)
    return OpenedJob(found, inputs, ids, is_new)


def check_extension(engine: Engine, request: Request) -> RecordedJob | None:
    """The job of the output that is continued, if any, after checking that the request only adds to it.

    Raises:
        UsageError: an option would change files already there.
    """
    job = None if request.force else find_job(engine, output=request.output)
    if job is not None:
        _refuse_rebuilt(request, job)
        extend(job.options, request.options)
    return job


def _refuse_rebuilt(request: Request, job: RecordedJob) -> None:
    """Refuse to continue a job whose rows came out of its crops: its sources are not known here."""
    if any(one.kind == "faces" for one in job.inputs):
        raise UsageError(
            f"--output {escape(request.output_given)}: the rows of this output were rebuilt from its crops "
            "(`maskmill ingest-faces`); use another --output, or --force to start anew"
        )


def enrol_references(engine: Engine | None, request: Request, settings: Settings) -> list[ReferenceRow]:
    """Check that the request only adds to the output's job; the references that it does not have yet.

    Args:
        engine: None where there is no database yet.

    Raises:
        UsageError: an option would change files already there, or a reference shows no face.
        UnfitError: a model is missing or unfit.
    """
    job = None if engine is None else check_extension(engine, request)
    known = [] if engine is None or job is None else find_references(engine, job.id)
    return new_rows(request.references, request.options, settings, known)


def make_output(output: bytes) -> None:
    """Make the output folder.

    Raises:
        UsageError: it cannot be made or written.
    """
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"--output {escape(output)} cannot be made: {exc.strerror}") from exc
    if not os.access(output, os.W_OK | os.X_OK):
        raise UsageError(f"--output {escape(output)} may not be written")


def remove_artifacts(engine: Engine, job: RecordedJob) -> int:
    """Delete every recorded file of a job; returns how many were there."""
    removed = 0
    for page in image_pages(engine, job):
        for rows in rows_of(engine, Artifact, [image.id for image in page]).values():
            for row in rows:
                path = os.path.join(job.output, row.path)
                if inside(os.path.realpath(os.path.dirname(path)), job.output) and os.path.lexists(path):
                    os.unlink(path)
                    removed += 1
    return removed


def _with_recorded_prefixes(request: Request, job: RecordedJob) -> tuple[Input, ...]:
    """The inputs with the prefixes they were recorded with; new ones get one where paths meet."""
    # The first record of a root counts: others hold what met another image later (`producer.plan`).
    recorded = {(one.kind, one.root): one.prefix for one in reversed(job.inputs)}
    given = {(one.kind, one.root) for one in request.inputs}
    earlier = [
        Input("directory", one.given, one.root)
        for one in job.inputs
        if one.kind == "directory" and (one.kind, one.root) not in given
    ]
    together = [*request.inputs, *earlier]
    if any(recorded.values()) or request.scanner(together).relative_paths_meet():
        together = with_prefixes(together)
    return tuple(
        replace(one, prefix=recorded.get((one.kind, one.root), one.prefix))
        for one in together[: len(request.inputs)]
    )


def _read_skip_list(path: str | None) -> frozenset[int]:
    if path is None:
        return frozenset()
    try:
        with open(path, encoding="utf-8") as lines:
            return frozenset(int(word) for line in lines for word in line.replace(",", " ").split())
    except OSError as exc:
        raise UsageError(f"--skip-list {path}: it cannot be read ({exc.strerror})") from exc
    except ValueError as exc:
        raise UsageError(f"--skip-list {path}: expected 0-based indices, one a line ({exc})") from exc
