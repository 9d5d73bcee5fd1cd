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
from workers.geometry import Matrix
from workers.masks.draw import PaintedMask, paint_mask
from workers.masks.fitting import WornMask
from workers.outfits import BarePicture, Choice, Outfit, Outfits, fit_outfits
from workers.provenance import Origin
from workers.times import PartTimes

JPEG_QUALITY = 95
THREE_POINTS = [39, 42, 57]
"""Inner eye corners and centre of the lower lip, of the 68."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A variant of a picture.

    Attributes:
        canvas: (H, W, 3) uint8 with its masks.
        alpha: (H, W) uint8, how far masks cover it.
        rows: of each face, what was drawn, or why not.
    """

    canvas: ImageBgr
    alpha: GrayImage
    rows: list[MaskRow]


Cuts = dict[tuple[int, str], tuple[ImageBgr, Matrix]]
"""Face index and style → the crop, (side, side, 3) uint8, and its matrix from the image."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to be written; `pixel_hash` is there of a crop without loss."""

    artifact: PlannedArtifact
    data: bytes
    pixel_hash: str | None = None


def make_artifacts(
    options: JobOptions,
    relative_path: bytes,
    image_bgr: ImageBgr,
    faces: Sequence[FacePoints],
    planned: Sequence[PlannedArtifact],
    emit: Callable[[Sequence[File]], None],
    times: PartTimes,
    origin: Origin,
    compression: JpegCompression | None = None,
    outfits: Outfits | None = None,
    drawn_before: Mapping[int, tuple[Drawn, Cuts]] | None = None,
) -> list[MaskRow]:
    """Make the files of one image, variant after variant.

    Args:
        relative_path: of the image; chance comes from it.
        image_bgr: (H, W, 3) uint8; stays as it is.
        planned: what to make. What would pass for masked and is not is left out.
        emit: takes the files of each variant as they are ready.
        times: gets the seconds of `draw`, `crop` and `encode`.
        origin: what crops say of themselves comes from it.
        compression: of the image's file; masks are compressed alike.
        outfits: of all variants that are to be made; None: they are fitted here.
        drawn_before: variants that are drawn and cut already; the others are made one after the other.

    Returns:
        What was drawn on each face in each variant that was made, or why not.
    """
    masks: list[MaskRow] = []
    if outfits is None:
        with times.part("draw"):
            bare = BarePicture(relative_path, image_bgr, faces, variants_of(planned))
            (outfits,) = fit_outfits(options, [bare])
    pictures = [artifact for artifact in planned if artifact.kind != "landmarks"]
    for variant in dict.fromkeys(artifact.variant for artifact in pictures):
        drawn, cuts = None, None
        if variant is not ORIGINAL and drawn_before and variant in drawn_before:
            drawn, cuts = drawn_before[variant]
        if drawn is None and variant is not ORIGINAL:
            with times.part("draw"):
                drawn = draw_variant(image_bgr, faces, variant, outfits[variant], compression)
        making = made_of(pictures, variant, faces, drawn)
        if cuts is None:
            with times.part("crop"):
                cuts = cut_crops(
                    making, image_bgr if drawn is None else drawn.canvas, faces, options.crop_size
                )
        with times.part("encode"):
            files = _files(making, origin, image_bgr, faces, drawn, cuts)
        emit(files)
        masks += [] if drawn is None else drawn.rows
    plain = [artifact for artifact in planned if artifact.kind == "landmarks"]
    if plain:
        with times.part("encode"):
            data = encode_png(draw_landmarks(image_bgr, faces))
        emit([File(artifact, data) for artifact in plain])
    return masks


def variants_of(planned: Sequence[PlannedArtifact]) -> list[int]:
    """Return the masked variants that artifacts are made of, in order."""
    return sorted({one.variant for one in planned if one.kind != "landmarks" and one.variant is not ORIGINAL})


def draw_variant(
    image_bgr: ImageBgr,
    faces: Sequence[FacePoints],
    variant: int,
    outfits: Sequence[Outfit],
    compression: JpegCompression | None = None,
) -> Drawn:
    """Draw the masks of one variant on a copy of the image, compressed as the image's file is.

    Args:
        outfits: of the faces in this variant.
    """
    canvas = image_bgr.copy()
    alpha = np.zeros(image_bgr.shape[:2], dtype=np.uint8)
    rows: list[MaskRow] = []
    for face, outfit in zip(faces, outfits, strict=True):
        own = outfit.worn
        if isinstance(own, WornMask):
            painted = paint_mask(canvas, alpha, own, outfit.choice.generator(), compression)
            rows.append(_row(variant, face.face_index, outfit.choice, painted, None))
        else:
            rows.append(_row(variant, face.face_index, outfit.choice, None, own))
    return Drawn(canvas, alpha, rows)


def _row(
    variant: int,
    face_index: int,
    choice: Choice,
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


def made_of(
    planned: Sequence[PlannedArtifact], variant: int | None, faces: Sequence[FacePoints], drawn: Drawn | None
) -> list[PlannedArtifact]:
    """Return the files of a variant that can be made: nothing passes for masked that is not.

    A crop needs its face drawn, a whole picture at least one.

    Args:
        drawn: None: the original.
    """
    there = {face.face_index for face in faces}
    if drawn is not None:
        there = {row.face_index for row in drawn.rows if row.reason is None}
    return [
        artifact
        for artifact in planned
        if artifact.variant == variant
        and (artifact.face_index in there if artifact.kind == "crop" else bool(there))
    ]


def cut_crops(
    making: Sequence[PlannedArtifact], canvas: ImageBgr, faces: Sequence[FacePoints], side: int
) -> Cuts:
    """Return the crops that files are made of; one in two formats is cut once.

    Args:
        canvas: (H, W, 3) uint8, the variant.
        side: of the crops, pixels.
    """
    by_index = {face.face_index: face for face in faces}
    cuts: Cuts = {}
    for artifact in making:
        index, style = artifact.face_index, artifact.crop_style
        if index is None or style is None or (index, style) in cuts:
            continue
        face = by_index[index]
        matrix = matrix_for(style, face.crop_points5, face.points68[THREE_POINTS], side)
        cuts[index, style] = crop(canvas, matrix, side, STYLES[style].border), matrix
    return cuts


def _files(
    making: Sequence[PlannedArtifact],
    origin: Origin,
    image_bgr: ImageBgr,
    faces: Sequence[FacePoints],
    drawn: Drawn | None,
    cuts: Cuts,
) -> list[File]:
    """Encode the files of one variant, or with None for `drawn` of the original."""
    canvas = image_bgr if drawn is None else drawn.canvas
    files = []
    for artifact in making:
        index, style = artifact.face_index, artifact.crop_style
        if index is None or style is None:
            whole = drawn.alpha if artifact.kind == "labels" and drawn is not None else canvas
            files.append(File(artifact, encode_png(whole)))
            continue
        cut, matrix = cuts[index, style]
        if not is_record_format(artifact.path):
            files.append(File(artifact, encode(cut, artifact.path, quality=JPEG_QUALITY)))
            continue
        points = next(stored_points(face) for face in faces if face.face_index == index)
        rows = [] if drawn is None else drawn.rows
        mask = next((row for row in rows if row.face_index == index), None)
        size_wh = (canvas.shape[1], canvas.shape[0])
        record = origin.record_of(artifact, size_wh, points, matrix, mask)
        files.append(File(artifact, encode(cut, artifact.path, record=record), hash_pixels(cut)))
    return files
