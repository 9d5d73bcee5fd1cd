"""Ground truth of photographs: dlib's XML files of face boxes with 68 landmarks."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.arrays import FloatArray

# Which of the 68 points each is when the picture is seen in a mirror: contour, brows, nose, eyes, mouth.
_MIRRORED = [
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    *range(45, 41, -1), 47, 46, *range(39, 35, -1), 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
]  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """The faces of one photograph: boxes (N, 4) and landmarks (N, 68, 2), pixels."""

    boxes_xyxy: FloatArray
    points68: FloatArray

    def seen(self, times: float, mirrored_width: int | None = None) -> Truth:
        """The truth of the photograph enlarged; where a width is given, the mirror image of that picture."""
        boxes, points = self.boxes_xyxy * times, self.points68 * times
        if mirrored_width is None:
            return Truth(boxes, points)
        turned = np.stack(
            [mirrored_width - boxes[:, 2], boxes[:, 1], mirrored_width - boxes[:, 0], boxes[:, 3]], axis=1
        )
        return Truth(turned, (points * (-1, 1) + (mirrored_width, 0))[:, _MIRRORED])


def read_truth(folder: Path) -> dict[str, Truth]:
    """Return the ground truth of every photograph that the folder's XML files name."""
    truths = {}
    for path in sorted(folder.glob("*_with_face_landmarks.xml")):
        for image in ElementTree.parse(path).getroot().iter("image"):
            boxes, points = [], []
            for box in image.iter("box"):
                left, top, width, height = (
                    float(box.attrib[key]) for key in ("left", "top", "width", "height")
                )
                boxes.append((left, top, left + width, top + height))
                parts = sorted(box.iter("part"), key=lambda part: int(part.attrib["name"]))
                points.append([(float(part.attrib["x"]), float(part.attrib["y"])) for part in parts])
            truths[image.attrib["file"]] = Truth(np.array(boxes), np.array(points))
    return truths
