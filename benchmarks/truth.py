"""Ground truth of photographs: dlib's XML files of face boxes with 68 landmarks."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.arrays import FloatArray


@dataclass(frozen=True)
class Truth:
    """The faces of one photograph: boxes (N, 4) and landmarks (N, 68, 2), pixels."""

    boxes_xyxy: FloatArray
    points68: FloatArray


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
