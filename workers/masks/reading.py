"""What the masks on a face start from, whichever they are: axes, turn, light, sharpness, skin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.arrays import FloatArray, ImageBgr
from workers.masks.frame import FaceFrame
from workers.masks.judge import judge_landmarks
from workers.masks.light import Light
from workers.masks.optics import Optics, read_optics
from workers.masks.pose import Pose, read_poses
from workers.masks.shadow import skin_outlines
from workers.masks.skin_light import read_lights


@dataclass(frozen=True, slots=True)
class FaceReading:
    """What every mask on a face starts from, whichever it is.

    Attributes:
        frame, pose: the face's axes and turn.
        light: on the face, before a mask's sides are asked.
        optics: of the photograph there.
        skin: (N, 2) outline of face and neck, pixels.
    """

    frame: FaceFrame
    pose: Pose
    light: Light
    optics: Optics
    skin: FloatArray


def read_faces(
    images: Sequence[ImageBgr], landmarks: FloatArray, frames: Sequence[FaceFrame], poses: Sequence[Pose]
) -> list[FaceReading]:
    """Return the readings of B faces, of each of which at least a part lies in its picture.

    Args:
        images: of each face the picture it is in, (H, W, 3) uint8 without masks on these faces.
        landmarks: (B, 68, 2) x, y in pixels, iBUG order.
        frames, poses: the same faces' axes and turns.
    """
    lights = read_lights(images, landmarks, frames, poses)
    skins = skin_outlines(landmarks, frames)
    return [
        FaceReading(frame, pose, light, read_optics(image_bgr, frame), skin)
        for image_bgr, frame, pose, light, skin in zip(images, frames, poses, lights, skins, strict=True)
    ]


def read_ahead(
    images: Sequence[ImageBgr], landmarks: FloatArray, points5: Sequence[FloatArray | None]
) -> list[FaceReading | None]:
    """Return the readings of B faces of some pictures before any mask is chosen; None where points make no sense.

    Args:
        images, landmarks: as in `read_faces`; any landmarks.
        points5: of each face (5, 2) of a detector, where it has them.
    """
    judged = judge_landmarks(landmarks, points5)
    found: list[FaceReading | None] = [None] * len(judged)
    frames = {place: frame for place, frame in enumerate(judged) if isinstance(frame, FaceFrame)}
    if frames:
        places, axes = list(frames), list(frames.values())
        own = landmarks[places]
        readings = read_faces([images[place] for place in places], own, axes, read_poses(own, axes))
        for place, reading in zip(places, readings, strict=True):
            found[place] = reading
    return found
