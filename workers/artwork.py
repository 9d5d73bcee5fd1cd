"""What is made of one image: landmarks, masks and crops, as pure functions on arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from common.arrays import FloatArray, GrayImage, ImageBgr
from common.artifacts import ORIGINAL, PlannedArtifact
from common.errors import UndrawableFace
from common.images import encode_jpeg, encode_png
from common.ledger.claims import ClaimedFace
from common.ledger.results import MaskRow
from common.options import JobOptions
from workers.crops import STYLES, crop, matrix_for
from workers.landmarks.base import Landmarker
from workers.masks.already import MaskJudge
from workers.masks.choose import choose, texture_seed
from workers.masks.draw import PaintedMask, paint_mask
from workers.masks.judge import points_agree
from workers.times import PartTimes

JPEG_QUALITY = 95
_THREE_POINTS = [39, 42, 57]
"""Inner eye corners and centre of the lower lip, of the 68."""


@dataclass(frozen=True)
class FacePoints:
    """Where one face is.

    Attributes:
        id: its row.
        face_index: its number in the image.
        limit_xyxy: the box grown by half its size on each side; no mask leaves it.
        points68: (68, 2), pixels.
        crop_points5: (5, 2), the detector's points, or those of the landmarks where it has none.
        detector_points5: (5, 2) or None.
        is_masked: it wears a mask already and is left alone.
    """

    id: int
    face_index: int
    limit_xyxy: tuple[float, float, float, float]
    points68: FloatArray
    crop_points5: FloatArray
    detector_points5: FloatArray | None
    is_masked: bool = False


def find_points(
    landmarker: Landmarker,
    image_bgr: ImageBgr,
    faces: Sequence[ClaimedFace],
    mask_judge: MaskJudge | None = None,
) -> list[FacePoints]:
    """The landmarks of every accepted face of an image, and whether it wears a mask already."""
    if not faces:
        return []
    boxes = np.array([face.box for face in faces], dtype=np.float64)
    given = [face.points_5 for face in faces]
    detector_points = None if any(points is None for points in given) else np.array(given, dtype=np.float64)
    found = landmarker.find(image_bgr, boxes, detector_points)
    masked = [False] * len(faces) if mask_judge is None else mask_judge.masked(image_bgr, boxes)
    return [
        FacePoints(
            id=face.id,
            face_index=face.face_index,
            limit_xyxy=grown_by_half(face.box),
            points68=found.points68[k],
            crop_points5=found.points5[k] if detector_points is None else detector_points[k],
            detector_points5=None if detector_points is None else detector_points[k],
            is_masked=masked[k],
        )
        for k, face in enumerate(faces)
    ]


def make_artifacts(
    options: JobOptions,
    relative_path: bytes,
    image_bgr: ImageBgr,
    faces: Sequence[FacePoints],
    planned: Sequence[PlannedArtifact],
    emit: Callable[[PlannedArtifact, bytes], None],
    times: PartTimes,
) -> list[MaskRow]:
    """Make the files of one image, variant after variant.

    Args:
        relative_path: of the image; chance comes from it.
        image_bgr: (H, W, 3) uint8; stays as it is.
        planned: what to make. What would pass for masked and is not is left out.
        emit: takes each file as it is ready.
        times: gets the seconds of `draw`, `crop` and `encode`.

    Returns:
        What was drawn on each face in each variant that was made, or why not.
    """
    masks: list[MaskRow] = []
    for variant in dict.fromkeys(artifact.variant for artifact in planned):
        canvas, alpha, drawn = image_bgr, None, {face.face_index for face in faces}
        if variant is not ORIGINAL:
            with times.part("draw"):
                canvas, alpha, rows = draw_variant(options, relative_path, image_bgr, faces, variant)
            drawn = {row.face_index for row in rows if row.reason is None}
            masks += rows
        for artifact in planned:
            if artifact.variant == variant and _can_be_made(artifact, drawn):
                emit(artifact, _encode(artifact, options, canvas, alpha, faces, times))
    return masks


def draw_variant(
    options: JobOptions,
    relative_path: bytes,
    image_bgr: ImageBgr,
    faces: Sequence[FacePoints],
    variant: int,
) -> tuple[ImageBgr, GrayImage, list[MaskRow]]:
    """Draw the masks of one variant on a copy of the image.

    Returns:
        The picture, (H, W) uint8 how far masks cover it, and a row per face: what was drawn, or why not.
    """
    canvas = image_bgr.copy()
    alpha = np.zeros(image_bgr.shape[:2], dtype=np.uint8)
    rows: list[MaskRow] = []
    for face in faces:
        whose = face.face_index if options.mask_per_face else None
        spec, rng = choose(
            options.seed,
            relative_path,
            variant,
            whose,
            options.mask_types,
            options.mask_colors,
            options.wears,
        )
        row = MaskRow(
            variant=variant,
            face_index=face.face_index,
            kind=spec.kind,
            mask_type=spec.mask_type,
            mask_color=spec.color,
            y_offset=spec.y_offset,
            rotation_angle=spec.rotation_deg,
            wear=spec.wear,
            texture=texture_seed(options.seed, relative_path, variant, whose),
        )
        try:
            _judge_face(face)
            painted = paint_mask(
                canvas, alpha, face.points68, spec, rng, limit_xyxy=face.limit_xyxy, light_from=image_bgr
            )
        except UndrawableFace as exc:
            rows.append(replace(row, reason=exc.reason, message=str(exc)))
            continue
        rows.append(_with_place(row, painted))
    return canvas, alpha, rows


def _judge_face(face: FacePoints) -> None:
    """Raise UndrawableFace for a face that is masked already, or whose points are not trusted."""
    if face.is_masked:
        raise UndrawableFace("already-masked", "the classifier says that it wears a mask")
    if face.detector_points5 is not None:
        points_agree(face.points68, face.detector_points5)


def _with_place(row: MaskRow, painted: PaintedMask) -> MaskRow:
    """The row with the head's turn, and the box and outline of what can be seen of the mask."""
    x1, y1, x2, y2 = painted.box_xyxy() or (None, None, None, None)
    pose = painted.pose
    return replace(
        row,
        yaw=pose.yaw_deg,
        pitch=pose.pitch_deg,
        roll=pose.roll_deg,
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        polygon=painted.polygon(),
    )


def grown_by_half(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The box with half its width and height added on each side."""
    x1, y1, x2, y2 = box
    grow_x, grow_y = (x2 - x1) / 2, (y2 - y1) / 2
    return x1 - grow_x, y1 - grow_y, x2 + grow_x, y2 + grow_y


def _can_be_made(artifact: PlannedArtifact, drawn: set[int]) -> bool:
    """A crop needs its face drawn, a whole picture at least one: nothing passes for masked that is not."""
    return artifact.face_index in drawn if artifact.kind == "crop" else bool(drawn)


def _encode(
    artifact: PlannedArtifact,
    options: JobOptions,
    canvas: ImageBgr,
    alpha: GrayImage | None,
    faces: Sequence[FacePoints],
    times: PartTimes,
) -> bytes:
    if artifact.crop_style is None:
        with times.part("encode"):
            return encode_png(alpha if artifact.kind == "labels" and alpha is not None else canvas)
    face = next(face for face in faces if face.face_index == artifact.face_index)
    with times.part("crop"):
        matrix = matrix_for(
            artifact.crop_style, face.crop_points5, face.points68[_THREE_POINTS], options.crop_size
        )
        cut = crop(canvas, matrix, options.crop_size, STYLES[artifact.crop_style].border)
    with times.part("encode"):
        return encode_jpeg(cut, quality=JPEG_QUALITY)
