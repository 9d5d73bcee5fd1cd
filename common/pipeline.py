"""The corridor: stage order, states, queue and task names, and the shape of a message.

::

    scan ─▶ enqueue ─▶ detect (gpu) ─▶ augment: mask + crop (cpu) ─▶ rows, files
     path     ids        faces            one decode, all artifacts      done / missed / failed
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from common.errors import MaskmillError

Stage: TypeAlias = Literal["detect", "augment", "segment"]
STAGES: tuple[Stage, ...] = ("detect", "augment")
"""The stages of a job, in order; each has a queue of its name."""
QUEUE_OF: dict[Stage, str] = {"detect": "detect", "augment": "augment", "segment": "augment"}
"""`segment` is no stage of a job: it is asked for afterwards, and done by those who augment."""

ImageState: TypeAlias = Literal["queued", "detected", "done", "missed", "failed"]
OPEN_STATES: tuple[ImageState, ...] = ("queued", "detected")
FINAL_STATES: tuple[ImageState, ...] = ("done", "missed", "failed")
WAITS_FOR: dict[Stage, ImageState] = {"detect": "queued", "augment": "detected", "segment": "queued"}
"""The state in which an image waits for a stage; for `segment` it is that of its row in the segmentation."""
STAGE_OF: dict[ImageState, Stage] = {WAITS_FOR[stage]: stage for stage in STAGES}

JobState: TypeAlias = Literal["running", "done", "interrupted", "halted", "cancelled"]

TASK_NAMES: dict[Stage, str] = {
    "detect": "maskmill.detect",
    "augment": "maskmill.augment",
    "segment": "maskmill.segment",
}

MESSAGE_VERSION = 1
LARGEST_CHUNK = 512
"""Images in one message at the most, where their number is learned from the time they take."""
MAX_IDS = 1024
"""Images in one message at the most; a larger message was not made by us."""


class MessageRefused(MaskmillError):
    """A task message that this version does not understand or trust."""


@dataclass(frozen=True, slots=True)
class ChunkMessage:
    """What a task is told: which job, which images. Never a path, never pixels.

    Attributes:
        job: the name of the job, or of the segmentation for `segment`: eight hexadecimal digits.
        image_ids: ascending row ids, 1 to `MAX_IDS` of them: of images, or for `segment` of its own rows.
    """

    job: str
    image_ids: tuple[int, ...]

    def as_kwargs(self) -> dict[str, object]:
        """The keyword arguments of the task."""
        return {"version": MESSAGE_VERSION, "job": self.job, "image_ids": list(self.image_ids)}

    def split_off(self, most: int | None) -> tuple[ChunkMessage, ChunkMessage | None]:
        """Its first images and the rest, if any: so that all of them go in equal parts of `most` images and fewer."""
        count = len(self.image_ids)
        parts = 1 if most is None else -(-count // most)
        size = -(-count // parts)
        rest = self.image_ids[size:]
        return ChunkMessage(self.job, self.image_ids[:size]), ChunkMessage(self.job, rest) if rest else None

    def __str__(self) -> str:
        first, last = self.image_ids[0], self.image_ids[-1]
        return f"job {self.job} image {first}" if first == last else f"job {self.job} images {first}..{last}"


def read_message(version: object = None, job: object = None, image_ids: object = None) -> ChunkMessage:
    """Validate a message's arguments, which anyone who reaches the broker may have written.

    Raises:
        MessageRefused: unknown version, a malformed job name or ids that are not positive integers.
    """
    if version != MESSAGE_VERSION:
        raise MessageRefused(f"message version must be {MESSAGE_VERSION}, got {version!r:.40}")
    if not (isinstance(job, str) and len(job) == 8 and all(c in "0123456789abcdef" for c in job)):
        raise MessageRefused(f"job must be eight hexadecimal digits, got {job!r:.40}")
    if not isinstance(image_ids, list) or not 1 <= len(image_ids) <= MAX_IDS:
        raise MessageRefused(f"image_ids must be a list of 1 to {MAX_IDS} ids")
    if not all(type(i) is int and 0 < i < 2**63 for i in image_ids):
        raise MessageRefused("image_ids must be positive 64-bit integers")
    return ChunkMessage(job, tuple(sorted(set(image_ids))))
