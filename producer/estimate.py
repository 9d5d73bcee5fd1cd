"""`--dry-run`: counts, sizes, and the time and disk a job would take, from a sample; writes nothing."""

from __future__ import annotations

import json
import os
import random
import time
from dataclasses import dataclass

import click

from common.settings import Settings
from producer.request import Request, first_image

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
    sample: list[tuple[bytes, bytes]] = []
    for found in first_image(request, request.scanner(request.inputs)):
        one = request.inputs[found.position]
        place = chance.randrange(count + 1)
        if len(sample) < _SAMPLE:
            sample.append((os.path.join(one.root, found.relative), found.relative))
        elif place < _SAMPLE:
            # Reservoir sampling: the n-th image replaces one of the sample with chance _SAMPLE / n.
            sample[place] = (os.path.join(one.root, found.relative), found.relative)
        count += 1
        size += found.size or 0
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


def _try(sample: list[tuple[bytes, bytes]], request: Request, settings: Settings) -> Sampled:
    """Detect, draw and encode the sample in this process, in memory."""
    from common.errors import ImageError
    from common.files import read_source
    from common.images import decode
    from workers.preview import preview_image
    from workers.runtime import Runtime

    runtime = Runtime(settings)
    runtime.detector(request.options)
    runtime.landmarker(request.options)
    sampled = Sampled()
    for path, relative in sample:
        start = time.perf_counter()
        sampled.images += 1
        try:
            image_bgr = decode(read_source(path, roots=None))
            stem = os.path.splitext(relative)[0]
            faces, files = preview_image(runtime, request.options, image_bgr, relative, stem)
        except ImageError:
            sampled.unusable += 1
            continue
        sampled.faces += faces
        sampled.artifact_bytes += sum(len(data) for data in files.values())
        sampled.seconds += time.perf_counter() - start
    return sampled
