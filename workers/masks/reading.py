"""What the masks on a face start from, whichever they are: axes, turn, light, sharpness, skin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.arrays import FloatArray, ImageBgr
from workers.masks.frame import FaceFrame
from workers.masks.light import Light
from workers.masks.optics import Optics, read_optics
from workers.masks.pose import Pose
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
