"""What a crop says of itself: gathered from the rows and options that it was made by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from common.artifacts import PlannedArtifact
from common.crop_record import CropRecord
from common.escaping import escape
from common.ledger.claims import ClaimedFace, ClaimedImage
from common.ledger.jobs import RecordedJob
from common.ledger.rows import MaskRow
from common.options import JobOptions
from workers.geometry import Matrix

_OWN_FIELDS = ("seed", "crop_size")
"""Options that have a field of the record."""


@dataclass(frozen=True)
class Origin:
    """Where the artifacts of one image come from.

    Attributes:
        image_path: the source as in `logs.csv`.
        faces: accepted faces by their index.
    """

    options: JobOptions
    image_path: str
    relative_path: bytes
    stem: bytes
    faces: Mapping[int, ClaimedFace]

    @classmethod
    def of(cls, job: RecordedJob, image: ClaimedImage) -> Origin:
        """That of a claimed image."""
        given = next(one for one in job.inputs if one.id == image.input_id)
        shown = given.shown_path(image.relative_path, image.written)
        faces = {face.face_index: face for face in image.faces}
        return cls(job.options, shown, image.relative_path, image.stem, faces)

    def record_of(
        self,
        artifact: PlannedArtifact,
        size_wh: tuple[int, int],
        points_68: list[list[float]],
        matrix: Matrix,
        mask: MaskRow | None,
    ) -> dict[str, Any]:
        """The record of one crop.

        Args:
            size_wh: of the upright source, pixels.
            points_68: x, y in the source, as they are stored.
            matrix: (2, 3), from source to crop.
            mask: what was drawn on its face; None for the unmasked original.
        """
        assert artifact.face_index is not None
        face = self.faces[artifact.face_index]
        values: dict[str, Any] = {
            **self._of_job,
            "image_path": self.image_path,
            "relative_path": escape(self.relative_path),
            "stem": escape(self.stem),
            "image_size": size_wh,
            "faces": len(self.faces),
            "face_index": artifact.face_index,
            "ordinal": face.ordinal,
            "box": face.box,
            "score": face.score,
            "angle": face.angle,
            "points_5": face.points_5,
            "points_68": points_68,
            "crop_style": artifact.crop_style,
            # Nine digits are far below a pixel; the last bits may differ between machines.
            "matrix": matrix.round(9).tolist(),
            "variant": artifact.variant,
            "mask": None if mask is None else _part_of(mask),
        }
        # Checked: what is written can be read.
        return CropRecord.model_validate(values).as_record()

    @cached_property
    def _of_job(self) -> dict[str, Any]:
        """What all crops of the job have in common."""
        further = {name: value for name, value in self.options.identity().items() if name not in _OWN_FIELDS}
        return {
            "job": self.options.key,
            "seed": self.options.seed,
            "crop_size": self.options.crop_size,
            "options": further,
        }


def _part_of(row: MaskRow) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "mask_type": row.mask_type,
        "mask_color": row.mask_color,
        "y_offset": row.y_offset,
        "rotation_angle": row.rotation_angle,
        "wear": row.wear,
        "texture": row.texture,
        "yaw": row.yaw,
        "pitch": row.pitch,
        "roll": row.roll,
        "box": None if row.x1 is None else (row.x1, row.y1, row.x2, row.y2),
        "polygon": row.polygon,
    }
