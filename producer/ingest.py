"""Rebuilds the rows of a job from a folder of crops that say where they come from."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import islice
from typing import Any

from sqlalchemy import Engine

from common.background_loader import BackgroundLoader
from common.crop_record import CropRecord, crop_record_of
from common.database import persistently
from common.errors import ImageError, UsageError
from common.escaping import escape
from common.faces_folder import UNKNOWN_FACE, FolderFace, read_faces_folder, require_folder
from common.ledger.ingest import Added, FoundCrop, store_crops
from common.ledger.jobs import RecordedInput, RecordedJob, add_inputs, find_job, open_job, set_job
from common.options import ADDITIVE, JobOptions, extend, make_options
from common.owner import process_name, this_owner
from producer.locks import output_lock

FACES = "faces"
"""The kind of input that the images of rebuilt rows belong to."""

OTHER_SOURCE = "other_source"
"""Reason why a crop is skipped: another source image has its relative path or its name already."""

_BATCH = 500


@dataclass
class Ingested:
    """What was done.

    Attributes:
        crops: files that have rows now.
        added: rows that are new.
        skipped: files that are left out, by reason.
    """

    crops: int = 0
    added: Added = field(default_factory=Added)
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass
class _Survey:
    """What the records of a folder say of the job, all together."""

    first: CropRecord | None = None
    n_augmentations: int = 0
    with_original: bool = False
    styles: set[str] = field(default_factory=set)
    formats: set[str] = field(default_factory=set)

    def add(self, face: FolderFace, folder: bytes) -> None:
        record = face.record
        assert record is not None
        if self.first is not None and self.first.job != record.job:
            raise UsageError(
                f"{escape(folder)}: its crops were made with different options (seed {self.first.seed}, job "
                f"{self.first.job}; and seed {record.seed}, job {record.job}: {escape(face.relative)}); "
                "put them into folders of their own"
            )
        self.first = self.first or record
        if record.variant is None:
            self.with_original = True
        else:
            self.n_augmentations = max(self.n_augmentations, record.variant + 1)
        self.styles.add(record.crop_style)
        self.formats.add("png" if face.relative.lower().endswith(b".png") else "tif")

    def options(self) -> JobOptions:
        """The options of the job, as far as its crops show them."""
        assert self.first is not None
        identity = {**self.first.options, "seed": self.first.seed, "crop_size": self.first.crop_size}
        additive: dict[str, Any] = {
            "n_augmentations": self.n_augmentations,
            "with_original": self.with_original,
            "crop_styles": tuple(sorted(self.styles)),
            "crop_formats": tuple(sorted(self.formats)),
        }
        try:
            options = make_options({**identity, **additive})
        except UsageError as exc:
            raise UsageError(f"the records name options that this version does not have: {exc}") from exc
        if options.key != self.first.job:
            raise UsageError(
                f"the records name options whose key is {options.key}, but the job {self.first.job}: "
                "they were changed, or another version of maskmill wrote them"
            )
        return options


def ingest(open_engine: Callable[[], Engine], folder: str) -> tuple[RecordedJob, Ingested]:
    """Record every crop of a folder that has a record; can be repeated and interrupted anywhere.

    Args:
        open_engine: called once it is known that there is something to record.
        folder: as the user gave it.

    Raises:
        UsageError: no folder, no such crop in it, crops of several jobs, or a folder whose job runs.
    """
    given = os.fsencode(folder)
    root = require_folder(folder, "DIR")
    with output_lock(root):
        survey, done = _survey(root)
        options = survey.options()
        engine = open_engine()
        job, input_id = _open(engine, root, given, options)
        worker = process_name(this_owner())
        with contextlib.closing(_crops(root, done)) as crops:
            while batch := list(islice(crops, _BATCH)):
                added, others = persistently(
                    lambda batch=batch: store_crops(engine, job.id, input_id, batch, worker=worker)  # type: ignore[misc]
                )
                done.added += added
                done.crops += len(batch) - len(others)
                if others:
                    done.skipped[OTHER_SOURCE] += len(others)
        if _is_rebuilt(job):
            set_job(engine, job.id, state="done", finished_at=time.time())
    found = find_job(engine, name=job.name)
    assert found is not None
    return found, done


def _survey(root: bytes) -> tuple[_Survey, Ingested]:
    """Look at every record before anything is written."""
    survey, done = _Survey(), Ingested()
    for found in read_faces_folder(root):
        if isinstance(found, FolderFace):
            survey.add(found, root)
        else:
            done.skipped[UNKNOWN_FACE] += 1
    if survey.first is None:
        raise UsageError(
            f"DIR {escape(root)}: no face crop with a record is in it ({done.skipped[UNKNOWN_FACE]} pictures "
            "skipped: unknown_face); crops have records with --crop-format png or tif"
        )
    return survey, done


def _open(engine: Engine, root: bytes, given: bytes, options: JobOptions) -> tuple[RecordedJob, int]:
    """The job of the folder and the row of the input its new images belong to; opened where there is none.

    Raises:
        UsageError: the folder has a job that runs, or one with other options.
    """
    job = find_job(engine, output=root)
    if job is None:
        opened = open_job(
            engine,
            output=root,
            output_given=given,
            options=options,
            follow_symlinks=False,
            version=version("maskmill"),
        )
        # Not running: nobody shall look after it or feed it.
        set_job(engine, opened.id, state="interrupted", scanned_at=time.time())
        add_inputs(engine, opened, [RecordedInput(0, FACES, given, root, b"")])
    elif job.state == "running":
        raise UsageError(
            f"DIR {escape(root)}: its job {job.name} is running; wait for it, or stop it with `maskmill cancel`"
        )
    elif job.options.key != options.key:
        raise UsageError(
            f"DIR {escape(root)}: its job {job.name} has seed {job.options.seed} and key {job.options.key}, but "
            f"the crops have seed {options.seed} and key {options.key}: use another database (--output)"
        )
    elif _is_rebuilt(job):
        asked = options.model_dump(include=set(ADDITIVE))
        both = extend(job.options, job.options.model_copy(update=asked))
        set_job(engine, job.id, options=both.model_dump(mode="json"))
    found = find_job(engine, output=root)
    assert found is not None
    return found, found.inputs[0].id


def _is_rebuilt(job: RecordedJob) -> bool:
    """The job is none that was run here: it came out of a folder of crops."""
    return all(one.kind == FACES for one in job.inputs)


def _crops(root: bytes, done: Ingested) -> Generator[FoundCrop]:
    """The crops of a folder that have a record and can be decoded, with their hashes; others are counted."""
    faces = (one for one in read_faces_folder(root) if isinstance(one, FolderFace))
    with BackgroundLoader(faces, _load) as loaded:
        for answer in loaded:
            if isinstance(answer, FoundCrop):
                yield answer
            else:
                done.skipped[answer] += 1


def _load(face: FolderFace) -> FoundCrop | str:
    """Read a whole crop; the code of the error where it cannot be read (any more)."""
    # Imported here: the command line starts without OpenCV.
    from common.reading import read_picture

    try:
        picture = read_picture(face.path, with_hash=True, with_metadata=True)
        record = crop_record_of(picture.metadata.record if picture.metadata else None)
    except ImageError as exc:
        return exc.code
    if record is None:
        return UNKNOWN_FACE
    return FoundCrop(
        record, face.relative, picture.file_size, str(picture.file_sha256), str(picture.pixel_hash)
    )
