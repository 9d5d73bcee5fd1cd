"""What the faces of some pictures wear in each variant: chosen by chance, and fitted all in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.arrays import ImageBgr
from common.errors import UndrawableFace
from common.options import JobOptions
from workers.facepoints import FacePoints
from workers.masks.choose import choose, texture_seed
from workers.masks.fitting import Wearer, WornMask, fit_masks
from workers.masks.reading import FaceReading
from workers.masks.spec import MaskSpec


@dataclass(frozen=True, slots=True)
class BarePicture:
    """A picture before any mask was drawn.

    Attributes:
        relative_path: of the image; chance comes from it.
        image_bgr: (H, W, 3) uint8; stays as it is.
        faces: of it.
        variants: those to be drawn.
    """

    relative_path: bytes
    image_bgr: ImageBgr
    faces: Sequence[FacePoints]
    variants: Sequence[int]


@dataclass(frozen=True, slots=True)
class Choice:
    """What a face wears, or all faces of a picture; `start` is where the generator of its texture begins."""

    spec: MaskSpec
    texture: str
    rng: np.random.Generator
    start: Mapping[str, object]

    @classmethod
    def of(cls, options: JobOptions, relative_path: bytes, variant: int, whose: int | None) -> Choice:
        """Choose for a face, or with None for all."""
        spec, rng = choose(
            options.seed,
            relative_path,
            variant,
            whose,
            options.mask_types,
            options.mask_colors,
            options.wears,
        )
        texture = texture_seed(options.seed, relative_path, variant, whose)
        return cls(spec, texture, rng, rng.bit_generator.state)

    def generator(self) -> np.random.Generator:
        """Return the generator, at its start: a tenth of the time of another one of the same seed."""
        self.rng.bit_generator.state = self.start
        return self.rng


@dataclass(frozen=True, slots=True)
class Outfit:
    """What one face wears in one variant: the mask as it is worn, or why it wears none."""

    choice: Choice
    worn: WornMask | UndrawableFace


Outfits = dict[int, list[Outfit]]
"""Variant → the outfits of a picture's faces, in their order."""

_MASKED = UndrawableFace("already-masked", "the classifier says that it wears a mask")


def fit_outfits(options: JobOptions, pictures: Sequence[BarePicture]) -> list[Outfits]:
    """Return what is worn in each variant of each picture.

    Pictures of one face take much less time together than one by one; to the bits it makes no difference.
    """
    outfits: list[Outfits] = [{} for _ in pictures]
    readings: dict[tuple[int, int], FaceReading] = {}
    for variant in sorted({variant for picture in pictures for variant in picture.variants}):
        chosen = {
            number: _choices(options, picture, variant)
            for number, picture in enumerate(pictures)
            if variant in picture.variants
        }
        keys = [
            (number, place)
            for number in chosen
            for place, face in enumerate(pictures[number].faces)
            if not face.is_masked
        ]
        fitted = fit_masks(
            [
                _wearer(pictures[number], place, chosen[number][place], readings.get((number, place)))
                for number, place in keys
            ]
        )
        worn = dict(zip(keys, fitted, strict=True))
        readings.update((key, one.reading) for key, one in worn.items() if isinstance(one, WornMask))
        for number, choices in chosen.items():
            outfits[number][variant] = [
                Outfit(choice, worn.get((number, place), _MASKED)) for place, choice in enumerate(choices)
            ]
    return outfits


def _choices(options: JobOptions, picture: BarePicture, variant: int) -> list[Choice]:
    """Return what each face is to wear."""
    path = picture.relative_path
    if options.mask_per_face:
        return [Choice.of(options, path, variant, face.face_index) for face in picture.faces]
    return [Choice.of(options, path, variant, None)] * len(picture.faces)


def _wearer(picture: BarePicture, place: int, choice: Choice, reading: FaceReading | None) -> Wearer:
    face = picture.faces[place]
    return Wearer(
        picture.image_bgr, face.points68, choice.spec, face.limit_xyxy, face.detector_points5, reading
    )
