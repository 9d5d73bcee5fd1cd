"""Makes images ready to be drawn on, a group at a time: decoded, points found, masks fitted, small pictures drawn and cut.

Each step is done for the whole group before the next, as its code then stays in the processor's caches (docs/decisions.md).
An image with which something is wrong fails alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from billiard.exceptions import SoftTimeLimitExceeded

from common.artifacts import PlannedArtifact
from common.errors import TransientError, UnfitError
from common.images import ReducedImage
from common.ledger.claims import ClaimedImage
from common.ledger.jobs import RecordedJob
from common.ledger.rows import Failure
from workers.artwork import Cuts, Drawn, cut_crops, draw_variant, made_of, variants_of
from workers.facepoints import FacePoints, find_points_of_all
from workers.outfits import BarePicture, Outfits, fit_outfits
from workers.runtime import Runtime
from workers.sources import attempt
from workers.times import PartTimes

log = logging.getLogger("maskmill.worker")

_GROUP_PIXELS = 8_000_000
"""Decoded pixels held while the faces of several images wait to be looked at together: 24 MB."""
_MASKS_TOGETHER = 64
"""Masks that are fitted in one go; of so many the calls of NumPy cost next to nothing any more."""
_DRAWN_PIXELS = 6_000_000
"""Where the variants of a group have no more pixels, 24 MB with their alphas, all are drawn and cut before any is encoded:
drawing finds its own code in the processor's caches then (docs/decisions.md)."""

_Before = TypeVar("_Before")
_After = TypeVar("_After")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An image and the artifacts that are to be made of it."""

    image: ClaimedImage
    missing: Sequence[PlannedArtifact]


@dataclass(frozen=True, slots=True)
class Seen:
    """A waiting image that is decoded, unreduced, and whose faces' points are known; its pixels stay as they are."""

    image: ClaimedImage
    missing: Sequence[PlannedArtifact]
    decoded: ReducedImage
    points: Sequence[FacePoints]


@dataclass(frozen=True, slots=True)
class Ready:
    """An image of which everything is known that its artifacts are made from; `drawn` are variants of small pictures."""

    seen: Seen
    outfits: Outfits
    drawn: dict[int, tuple[Drawn, Cuts]]

    @property
    def image(self) -> ClaimedImage:
        """The row it comes from."""
        return self.seen.image


def make_ready(
    runtime: Runtime,
    job: RecordedJob,
    load: Callable[[ClaimedImage], ReducedImage],
    waiting: Sequence[Waiting],
    failures: list[Failure],
    times: PartTimes,
) -> Iterator[Ready]:
    """The images in order with everything that drawing needs, worked out for as many together as the model likes."""
    batch = runtime.landmarker(job.options).batch
    group: list[tuple[Waiting, ReducedImage]] = []
    for one in waiting:
        loaded = attempt(job, one.image, lambda one=one: load(one.image))  # type: ignore[misc]
        if isinstance(loaded, Failure):
            failures.append(loaded)
            continue
        group.append((one, loaded))
        faces = sum(len(other.image.faces) for other, _ in group)
        if faces >= batch or sum(decoded.width * decoded.height for _, decoded in group) > _GROUP_PIXELS:
            yield from _looked_at(runtime, job, group, failures, times)
            group = []
    yield from _looked_at(runtime, job, group, failures, times)


def _looked_at(
    runtime: Runtime,
    job: RecordedJob,
    group: Sequence[tuple[Waiting, ReducedImage]],
    failures: list[Failure],
    times: PartTimes,
) -> Iterator[Ready]:
    """Find the points of all faces of a group, then fit what they wear in all variants, some masks at a time."""

    def find(some: Sequence[tuple[Waiting, ReducedImage]]) -> list[Seen]:
        with times.part("landmarks"):
            found = find_points_of_all(
                runtime.landmarker(job.options),
                [(decoded.image_bgr, one.image.faces) for one, decoded in some],
                runtime.mask_judge(job.options),
            )
        return [
            Seen(one.image, one.missing, decoded, points)
            for (one, decoded), points in zip(some, found, strict=True)
        ]

    def fit(some: Sequence[Seen]) -> list[Ready]:
        with times.part("draw"):
            bare = [
                BarePicture(
                    one.image.relative_path, one.decoded.image_bgr, one.points, variants_of(one.missing)
                )
                for one in some
            ]
            fitted = fit_outfits(job.options, bare)
        pixels = sum(one.image_bgr.shape[0] * one.image_bgr.shape[1] * len(one.variants) for one in bare)
        drawn: list[dict[int, tuple[Drawn, Cuts]]] = [{} for _ in some]
        if pixels <= _DRAWN_PIXELS:
            with times.part("draw"):
                pictures = [_drawn(one, outfits) for one, outfits in zip(some, fitted, strict=True)]
            with times.part("crop"):
                drawn = [
                    _cut(one, own, job.options.crop_size) for one, own in zip(some, pictures, strict=True)
                ]
        return [Ready(*parts) for parts in zip(some, fitted, drawn, strict=True)]

    seen = _all_or_each(job, group, lambda one: one[0].image, find, failures)
    fitting: list[Seen] = []
    masks = 0
    for one in seen:
        fitting.append(one)
        masks += len(one.points) * max(1, len(variants_of(one.missing)))
        if masks >= _MASKS_TOGETHER:
            yield from _all_or_each(job, fitting, lambda one: one.image, fit, failures)
            fitting, masks = [], 0
    yield from _all_or_each(job, fitting, lambda one: one.image, fit, failures)


def _drawn(seen: Seen, outfits: Outfits) -> dict[int, Drawn]:
    """All variants of an image."""
    image_bgr, compression = seen.decoded.image_bgr, seen.decoded.compression
    return {
        variant: draw_variant(image_bgr, seen.points, variant, own, compression)
        for variant, own in outfits.items()
    }


def _cut(seen: Seen, pictures: dict[int, Drawn], side: int) -> dict[int, tuple[Drawn, Cuts]]:
    """The variants of an image with their crops."""
    return {
        variant: (
            drawn,
            cut_crops(made_of(seen.missing, variant, seen.points, drawn), drawn.canvas, seen.points, side),
        )
        for variant, drawn in pictures.items()
    }


def _all_or_each(
    job: RecordedJob,
    some: Sequence[_Before],
    image_of: Callable[[_Before], ClaimedImage],
    work: Callable[[Sequence[_Before]], list[_After]],
    failures: list[Failure],
) -> list[_After]:
    """Work on some images together; where that fails, one by one, so that one fails alone."""
    if len(some) > 1:
        try:
            return work(some)
        except (TransientError, UnfitError, SoftTimeLimitExceeded):
            raise
        except Exception as exc:  # noqa: BLE001 (told with the image that it comes from)
            log.warning("job %s: %d images are looked at one by one: %s", job.name, len(some), exc)
    done: list[_After] = []
    for one in some:
        outcome = attempt(job, image_of(one), lambda one=one: work([one])[0])  # type: ignore[misc]
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            done.append(outcome)
    return done
