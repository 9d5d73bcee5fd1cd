"""What the stages hand to the ledger to be stored: plain values, named as the columns of `common.models`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.pipeline import Stage


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that ended as failed in a stage."""

    image_id: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class FaceRow:
    """A detection to store; the names are those of `common.models.Face`."""

    ordinal: int
    face_index: int | None
    status: str
    x1: float
    y1: float
    x2: float
    y2: float
    score: float
    points_5: list[list[float]] | None
    angle: float = 0.0
    identity_rule: int | None = None
    wanted_distances: list[float] | None = None
    unwanted_distances: list[float] | None = None


@dataclass(frozen=True, slots=True)
class DetectedImage:
    """What the detect stage found in an image; without an accepted face it ends as `missed`."""

    image_id: int
    width: int
    height: int
    faces: tuple[FaceRow, ...]

    @property
    def is_missed(self) -> bool:
        """No face was accepted."""
        return all(face.face_index is None for face in self.faces)


@dataclass(frozen=True, slots=True)
class MaskRow:
    """A drawing decision to store; the names are those of `common.models.Mask`."""

    variant: int
    face_index: int
    kind: str
    mask_type: str
    mask_color: str
    y_offset: float
    rotation_angle: float
    reason: str | None = None
    message: str | None = None
    wear: str | None = None
    texture: str | None = None
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None
    x1: int | None = None
    y1: int | None = None
    x2: int | None = None
    y2: int | None = None
    polygon: list[list[int]] | None = None


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """A written file to store; the names are those of `common.models.Artifact`."""

    position: int
    kind: str
    variant: int | None
    face_index: int | None
    crop_style: str | None
    path: bytes
    size: int
    sha256: str
    pixel_hash: str | None = None


@dataclass(frozen=True, slots=True)
class AugmentedImage:
    """What the augment stage did with an image.

    `points_68` maps face row ids to landmarks, lists of [x, y] in pixels.
    """

    image_id: int
    masks: tuple[MaskRow, ...]
    artifacts: tuple[ArtifactRow, ...]
    points_68: Mapping[int, list[list[float]]]


@dataclass(frozen=True, slots=True)
class ChunkTimes:
    """What one task did, in how many seconds; `cpu` is CPU time by part, `seconds` wall clock."""

    stage: Stage
    images: int
    faces: int
    artifacts: int
    undrawn: int
    started_at: float
    seconds: Mapping[str, float]
    cpu: Mapping[str, float]
