"""Which files an image gives, and what they are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from common.options import JobOptions

ArtifactKind: TypeAlias = Literal["full", "labels", "crop", "landmarks"]

ORIGINAL: None = None
"""The variant that is the unmasked original; the masked ones are numbered from 0."""


@dataclass(frozen=True, slots=True)
class PlannedArtifact:
    """One file that a job asks for.

    Attributes:
        position: its place among all files that this image could give under these options.
        kind: `full` picture, `labels` (the alpha of all masks of a variant), `crop` of one face or
            `landmarks` (the points, drawn on a copy of the original).
        variant: from 0, or `ORIGINAL`.
        face_index: of a crop; None for a whole picture.
        crop_style: of a crop.
        path: relative to the output.
    """

    position: int
    kind: ArtifactKind
    variant: int | None
    face_index: int | None
    crop_style: str | None
    path: bytes


def plan_artifacts(options: JobOptions, stem: bytes, face_indices: Sequence[int]) -> list[PlannedArtifact]:
    """Every file of one image: the original first, then variant after variant; pictures before crops.

    Args:
        stem: path under the output without the endings, as settled when the image was recorded.
        face_indices: of all accepted faces of the image; empty gives no file at all.
    """
    if not face_indices:
        return []
    return [
        PlannedArtifact(position, *names)
        for position, names in enumerate(_names(options, stem, face_indices))
    ]


_Names: TypeAlias = tuple[ArtifactKind, int | None, int | None, str | None, bytes]


def _names(options: JobOptions, stem: bytes, face_indices: Sequence[int]) -> Iterator[_Names]:
    variants: list[int | None] = [ORIGINAL] if options.with_original else []
    variants += range(options.n_augmentations)
    for variant in variants:
        base = stem if variant is ORIGINAL else stem + b"_aug%d" % variant
        if variant is ORIGINAL and options.full_original:
            yield "full", ORIGINAL, None, None, base + b"_original.png"
        if variant is not ORIGINAL and options.full_masked:
            yield "full", variant, None, None, base + b"_masked.png"
        if variant is not ORIGINAL and options.labels:
            yield "labels", variant, None, None, base + b"_mask.png"
        for face_index in face_indices:
            face = b"" if len(face_indices) == 1 else b"_face%d" % face_index
            for style in options.crop_styles:
                name = base + face + b"_" + style.encode() + b"."
                for ending in options.crop_formats:
                    yield "crop", variant, face_index, style, name + ending.encode()
    if options.debug_landmarks:
        yield "landmarks", ORIGINAL, None, None, stem + b"_landmarks.png"
