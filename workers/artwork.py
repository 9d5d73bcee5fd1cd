"""What is made of one image: masks, crops and pictures, as pure functions on arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.arrays import GrayImage, ImageBgr
from common.artifacts import ORIGINAL, PlannedArtifact
from common.encoding import encode
from common.errors import UndrawableFace
from common.images import encode_png
from common.jpeg_compression import JpegCompression
from common.ledger.rows import MaskRow
from common.metadata import is_record_format
from common.options import JobOptions
from common.pixel_hash import hash_pixels
from workers.crops import STYLES, crop, matrix_for
from workers.debug_picture import draw_landmarks
from workers.facepoints import FacePoints
from workers.masks.choose import choose, texture_seed
from workers.masks.draw import PaintedMask, paint_mask
from workers.masks.fitting import Wearer, WornMask, fit_masks
from workers.masks.reading import FaceReading, read_ahead
from workers.masks.spec import MaskSpec
from workers.provenance import Origin
from workers.times import PartTimes

JPEG_QUALITY = 95
THREE_POINTS = [39, 42, 57]
"""Inner eye corners and centre of the lower lip, of the 68."""


def make_artifacts(
    options: JobOptions,
    relative_path: bytes,
    image_bgr: ImageBgr,
    faces: Sequence[FacePoints],
    planned: Sequence[PlannedArtifact],
    emit: Callable[[PlannedArtifact, bytes, str | None], None],
    times: PartTimes,
    origin: Origin,
    compression: JpegCompression | None = None,
    readings: dict[int, FaceReading] | None = None,
) -> list[MaskRow]:
    """Make the files of one image, variant after variant.

    Args:
        relative_path: of the image; chance comes from it.
        image_bgr: (H, W, 3) uint8; stays as it is.
        planned: what to make. What would pass for masked and is not is left out.
        emit: takes each file as it is ready; with the hash of its pixels where it is a crop without loss.
        times: gets the seconds of `draw`, `crop` and `encode`.
        origin: what crops say of themselves comes from it.
        compression: of the image's file; masks are compressed alike.
        readings: of faces by index, where `read_pictures` was there before.

    Returns:
        What was drawn on each face in each variant that was made, or why not.
    """
    masks: list[MaskRow] = []
    readings = {} if readings is None else readings
    pictures = [artifact for artifact in planned if artifact.kind != "landmarks"]
    for variant in dict.fromkeys(artifact.variant for artifact in pictures):
        canvas, alpha, drawn = image_bgr, None, {face.face_index for face in faces}
        mask_of: dict[int | None, MaskRow] = {}
        if variant is not ORIGINAL:
            with times.part("draw"):
                canvas, alpha, rows = draw_variant(
                    options, relative_path, image_bgr, faces, variant, compression, readings
                )
            drawn = {row.face_index for row in rows if row.reason is None}
            mask_of = {row.face_index: row for row in rows}
            masks += rows
        for artifact in pictures:
            if artifact.variant == variant and _can_be_made(artifact, drawn):
                mask = mask_of.get(artifact.face_index)
                emit(artifact, *_encode(artifact, origin, canvas, alpha, faces, mask, times))
    for artifact in planned:
        if artifact.kind == "landmarks":
            with times.part("encode"):
                data = encode_png(draw_landmarks(image_bgr, faces))
            emit(artifact, data, None)
    return masks


def read_pictures(
    pictures: Sequence[tuple[ImageBgr, Sequence[FacePoints]]],
) -> list[dict[int, FaceReading]]:
    """Return for each picture what masks on its faces start from, by the faces' index, worked out in one go.

    Pictures of one face take much less time together than one by one. Faces that cannot be drawn on are left out.
    """
    every = [
        (number, image_bgr, face)
        for number, (image_bgr, faces) in enumerate(pictures)
        for face in faces
        if not face.is_masked
    ]
    readings: list[dict[int, FaceReading]] = [{} for _ in pictures]
    if every:
        found = read_ahead(
            [image_bgr for _, image_bgr, _ in every],
            np.array([face.points68 for _, _, face in every], np.float64),
            [face.detector_points5 for _, _, face in every],
        )
        for (number, _, face), reading in zip(every, found, strict=True):
            if reading is not None:
                readings[number][face.face_index] = reading
    return readings


def draw_variant(
    options: JobOptions,
    relative_path: bytes,
    image_bgr: ImageBgr,
    faces: Sequence[FacePoints],
    variant: int,
    compression: JpegCompression | None = None,
    readings: dict[int, FaceReading] | None = None,
) -> tuple[ImageBgr, GrayImage, list[MaskRow]]:
    """Draw the masks of one variant on a copy of the image, compressed as the image's file is.

    Args:
        readings: of the same faces by index, from other variants of the image; what is missing is added.

    Returns:
        The picture, (H, W) uint8 how far masks cover it, and a row per face: what was drawn, or why not.
    """
    canvas = image_bgr.copy()
    alpha = np.zeros(image_bgr.shape[:2], dtype=np.uint8)
    rows: list[MaskRow] = []
    readings = {} if readings is None else readings
    shared = None if options.mask_per_face else _Choice.of(options, relative_path, variant, None)
    choices = [shared or _Choice.of(options, relative_path, variant, face.face_index) for face in faces]
    worn = _fit(image_bgr, faces, choices, readings)
    for face, choice in zip(faces, choices, strict=True):
        own = worn[face.face_index]
        painted: PaintedMask | None = None
        if isinstance(own, WornMask):
            painted = paint_mask(canvas, alpha, own, choice.generator(), compression)
            readings[face.face_index] = painted.reading
        rows.append(
            _row(variant, face.face_index, choice, painted, None if isinstance(own, WornMask) else own)
        )
    return canvas, alpha, rows


@dataclass(frozen=True, slots=True)
class _Choice:
    """What a face wears, or all faces of a picture; `start` is where the generator of its texture begins."""

    spec: MaskSpec
    texture: str
    rng: np.random.Generator
    start: Mapping[str, object]

    @classmethod
    def of(cls, options: JobOptions, relative_path: bytes, variant: int, whose: int | None) -> _Choice:
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


def _fit(
    image_bgr: ImageBgr,
    faces: Sequence[FacePoints],
    choices: Sequence[_Choice],
    readings: Mapping[int, FaceReading],
) -> dict[int, WornMask | UndrawableFace]:
    """Return the masks of faces by index, or why a face is left alone, masked already among other things."""
    bare = [pair for pair in zip(faces, choices, strict=True) if not pair[0].is_masked]
    fitted = fit_masks(
        image_bgr,
        [
            Wearer(
                face.points68,
                choice.spec,
                face.limit_xyxy,
                face.detector_points5,
                readings.get(face.face_index),
            )
            for face, choice in bare
        ],
    )
    worn = {face.face_index: own for (face, _), own in zip(bare, fitted, strict=True)}
    masked = UndrawableFace("already-masked", "the classifier says that it wears a mask")
    return {face.face_index: worn.get(face.face_index, masked) for face in faces}


def _row(
    variant: int,
    face_index: int,
    choice: _Choice,
    painted: PaintedMask | None,
    undrawable: UndrawableFace | None,
) -> MaskRow:
    """What was drawn on a face, the head's turn, the box and the outline that can be seen; or why nothing."""
    spec = choice.spec
    box, polygon = (None, None) if painted is None else painted.seen()
    place = box or (None, None, None, None)
    pose = None if painted is None else painted.pose
    return MaskRow(
        variant=variant,
        face_index=face_index,
        kind=spec.kind,
        mask_type=spec.mask_type,
        mask_color=spec.color,
        y_offset=spec.y_offset,
        rotation_angle=spec.rotation_deg,
        wear=spec.wear,
        yaw=None if pose is None else pose.yaw_deg,
        pitch=None if pose is None else pose.pitch_deg,
        roll=None if pose is None else pose.roll_deg,
        texture=choice.texture,
        x1=place[0],
        y1=place[1],
        x2=place[2],
        y2=place[3],
        polygon=polygon,
        reason=None if undrawable is None else undrawable.reason,
        message=None if undrawable is None else str(undrawable),
    )


def stored_points(face: FacePoints) -> list[list[float]]:
    """The 68 points as they are stored: x, y in 1/100 pixel."""
    points: list[list[float]] = face.points68.round(2).tolist()
    return points


def _can_be_made(artifact: PlannedArtifact, drawn: set[int]) -> bool:
    """A crop needs its face drawn, a whole picture at least one: nothing passes for masked that is not."""
    return artifact.face_index in drawn if artifact.kind == "crop" else bool(drawn)


def _encode(
    artifact: PlannedArtifact,
    origin: Origin,
    canvas: ImageBgr,
    alpha: GrayImage | None,
    faces: Sequence[FacePoints],
    mask: MaskRow | None,
    times: PartTimes,
) -> tuple[bytes, str | None]:
    """The bytes of one file, and the hash of its pixels where it is a crop without loss."""
    if artifact.crop_style is None:
        with times.part("encode"):
            return encode_png(alpha if artifact.kind == "labels" and alpha is not None else canvas), None
    face = next(face for face in faces if face.face_index == artifact.face_index)
    side = origin.options.crop_size
    with times.part("crop"):
        matrix = matrix_for(artifact.crop_style, face.crop_points5, face.points68[THREE_POINTS], side)
        cut = crop(canvas, matrix, side, STYLES[artifact.crop_style].border)
    with times.part("encode"):
        if not is_record_format(artifact.path):
            return encode(cut, artifact.path, quality=JPEG_QUALITY), None
        size_wh = (canvas.shape[1], canvas.shape[0])
        record = origin.record_of(artifact, size_wh, stored_points(face), matrix, mask)
        return encode(cut, artifact.path, record=record), hash_pixels(cut)
