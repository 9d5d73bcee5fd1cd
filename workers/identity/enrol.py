"""Reference pictures into rows: the largest face of each, as an embedding."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from statistics import fmean

from common.errors import ImageError, UsageError
from common.escaping import escape
from common.identity import SMALL_FACE, ReferencePicture
from common.images import decode
from common.ledger.references import ReferenceRow
from common.options import JobOptions
from common.settings import Settings
from workers.detectors.registry import DETECTORS
from workers.identity.base import Embedder, distance
from workers.identity.judge import IdentityJudge, embed_faces, read_embedding
from workers.runtime import Runtime

log = logging.getLogger("maskmill.identity")


def enrol(
    pictures: Sequence[ReferencePicture], options: JobOptions, settings: Settings
) -> list[ReferenceRow]:
    """Find and embed the face of each reference picture, with the detector and landmarks of the job.

    Raises:
        UsageError: a picture cannot be decoded or shows no face; names it.
        UnfitError: a model is missing or unfit.
    """
    runtime = Runtime(settings)
    embedder = runtime.embedder(options)
    rows = [_row(runtime, embedder, picture, options) for picture in pictures]
    warn_of_strangers(rows, options.filter_threshold or 0.0)
    return rows


def warn_of_strangers(rows: Sequence[ReferenceRow], threshold: float) -> None:
    """Warn of wanted pictures that would not be accepted by the others: rule 1 takes the mean of all."""
    wanted = [row for row in rows if row.list == "wanted"]
    for row in wanted:
        others = [distance(read_embedding(row), read_embedding(one)) for one in wanted if one is not row]
        if others and fmean(others) > threshold:
            log.warning(
                "--filter %s: its face is %.3f from the other wanted ones on average, the threshold is %.3f: "
                "another person, whose faces will be rejected?",
                escape(row.path),
                fmean(others),
                threshold,
            )


def judge_of(
    pictures: Sequence[ReferencePicture], options: JobOptions, runtime: Runtime
) -> IdentityJudge | None:
    """What compares faces with these pictures, without any database; None without pictures."""
    if not options.filters_identity:
        return None
    embedder = runtime.embedder(options)
    rows = [_row(runtime, embedder, picture, options) for picture in pictures]
    return IdentityJudge(embedder, runtime.landmarker(options), rows, options.filter_threshold or 0.0)


def _row(
    runtime: Runtime, embedder: Embedder, picture: ReferencePicture, options: JobOptions
) -> ReferenceRow:
    where = f"--{picture.flag} {escape(picture.path)}"
    try:
        image_bgr = decode(picture.data)
    except ImageError as exc:
        raise UsageError(f"{where}: it cannot be read: {exc}") from exc
    found = runtime.detector(_finding(options)).detect([image_bgr])[0]
    if not len(found):
        raise UsageError(f"{where}: no face is found in it; give a picture that shows the person's face")
    sizes = [float((x2 - x1) * (y2 - y1)) for x1, y1, x2, y2 in found.boxes_xyxy]
    largest = max(range(len(sizes)), key=sizes.__getitem__)
    if len(found) > 1:
        log.warning("%s: %d faces are in it, the largest one is taken", where, len(found))
    if sizes[largest] < SMALL_FACE**2:
        log.warning(
            "%s: its face is small (%.0f pixels): it is told from others badly", where, sizes[largest] ** 0.5
        )
    try:
        (embedding,) = embed_faces(embedder, runtime.landmarker(options), image_bgr, found, [largest])
    except ValueError as exc:
        raise UsageError(f"{where}: its face cannot be used: {exc}; give another picture") from exc
    x1, y1, x2, y2 = (float(value) for value in found.boxes_xyxy[largest])
    return ReferenceRow(
        list=picture.list,
        path=picture.path,
        sha256=picture.sha256,
        embedder=embedder.name,
        embedding=embedding.astype("<f4").tobytes(),
        faces=len(found),
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
    )


def _finding(options: JobOptions) -> JobOptions:
    """The options by which faces are found in references: of given boxes none are in them."""
    if options.detector in DETECTORS:
        return options
    return options.model_copy(update={"detector": DETECTORS[0], "detector_model": None})
