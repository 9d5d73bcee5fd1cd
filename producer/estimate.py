"""`--dry-run`: counts, sizes, and the time and disk a job would take, from a sample; writes nothing."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import click

from common.ledger.boxes import GivenFace
from common.settings import Settings
from producer.request import Request, first_image
from producer.scan import Found

_SAMPLE = 24
"""Images tried, drawn from all of them with equal chance."""


@dataclass
class Sampled:
    """What the sample gave."""

    images: int = 0
    unusable: int = 0
    faces: int = 0
    seconds: float = 0.0
    artifact_bytes: int = 0


def estimate(request: Request, settings: Settings, *, as_json: bool) -> None:
    """Print how large a job is and what it would take."""
    count = size = 0
    folders: set[bytes] = set()
    chance = random.Random(request.options.seed)
    sample: list[Found] = []
    videos: set[bytes] = set()
    for found in first_image(request, request.scanner(request.inputs)):
        place = chance.randrange(count + 1)
        if len(sample) < _SAMPLE:
            sample.append(found)
        elif place < _SAMPLE:
            # Reservoir sampling: the n-th image replaces one of the sample with chance _SAMPLE / n.
            sample[place] = found
        count += 1
        if found.frame is None or found.frame.video not in videos:
            size += found.size or 0
            videos |= {found.frame.video} if found.frame else set()
        folders.add(os.path.dirname(found.relative))
    sampled = _try(sample, request, settings)
    processes = max(1, settings.worker_count)
    tried = max(1, sampled.images)
    answer = {
        "images": count,
        "folders": len(folders),
        "input_bytes": size,
        "sampled": sampled.images,
        "unusable_in_sample": sampled.unusable,
        "faces": round(sampled.faces / tried * count),
        "artifact_bytes": round(sampled.artifact_bytes / tried * count),
        "seconds": round(sampled.seconds / tried * count / processes, 1),
        "processes": processes,
    }
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo(f"{count} images in {len(folders)} folders, {size / 1e6:.1f} MB")
    click.echo(
        f"from a sample of {sampled.images} ({sampled.unusable} of them unusable): about {answer['faces']} faces, "
        f"{sampled.artifact_bytes / tried * count / 1e6:.1f} MB of artifacts, "
        f"{answer['seconds']} s with {processes} processes"
    )
    click.echo("nothing was written")


def _try(sample: list[Found], request: Request, settings: Settings) -> Sampled:
    """Detect, draw and encode the sample in this process, in memory."""
    from common.errors import ImageError
    from producer.pixels import PixelSource
    from workers.identity.enrol import judge_of
    from workers.preview import preview_image
    from workers.runtime import Runtime

    runtime = Runtime(settings)
    if request.boxes is None:
        runtime.detector(request.options)
    runtime.landmarker(request.options)
    judge = judge_of(request.references, request.options, runtime)
    sampled = Sampled()
    with PixelSource(request.inputs, request.videos) as pixels:
        given = _given_boxes(request, [pixels.path(found) for found in sample])
        for found in sorted(sample, key=lambda one: (one.position, one.relative)):
            start = time.perf_counter()
            sampled.images += 1
            try:
                stem = os.path.splitext(found.relative)[0]
                faces, files = preview_image(
                    runtime,
                    request.options,
                    pixels.read(found),
                    found.relative,
                    stem,
                    given=None if given is None else given[pixels.path(found)],
                    identity_judge=judge,
                )
            except ImageError:
                sampled.unusable += 1
                continue
            sampled.faces += faces
            sampled.artifact_bytes += sum(len(data) for data in files.values())
            sampled.seconds += time.perf_counter() - start
    return sampled


def _given_boxes(request: Request, paths: Sequence[bytes]) -> dict[bytes, list[GivenFace]] | None:
    """Path → boxes of the sample; None where a detector finds them."""
    if request.boxes is None:
        return None
    given: dict[bytes, list[GivenFace]] = {path: [] for path in paths}
    for face in request.boxes.faces(request.inputs):
        if face.path in given:
            given[face.path].append(face)
    return given
