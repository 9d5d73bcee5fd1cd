"""How far apart one face stays from itself, and from others: `python -m benchmarks.identity FOLDER`.

For each face of a folder of photographs: its distance (1 − cosine) from itself after rotation, rescaling, JPEG and
changes of light, and from all other people. Different faces count as different people; pictures that
show somebody twice are named in --people. This sets a threshold; it is no benchmark of recognition.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.identity import embedder_info
from common.images import decode
from common.options import JobOptions
from common.settings import read_settings
from workers.identity.base import Embedding, distance
from workers.identity.judge import embed_faces
from workers.runtime import Runtime

_FOUND_WITHIN = 0.3
"""Of its side: so near its old place a face counts as the same one."""


@dataclass(frozen=True)
class Person:
    """One face of one photograph; `group` tells people of one picture apart where --people says so."""

    picture: str
    group: object
    side: float
    embedding: Embedding


@dataclass(frozen=True)
class Change:
    """A change of a picture, with the matrix (2, 3) that takes its points along."""

    kind: str
    make: Callable[[ImageBgr], ImageBgr]
    matrix: Callable[[int, int], FloatArray]


def _still(_width: int, _height: int) -> FloatArray:
    return np.eye(2, 3)


def _rotation(angle: float) -> Change:
    def matrix(width: int, height: int) -> FloatArray:
        # On a larger canvas, so that no face is cut off.
        side = int(np.hypot(width, height)) + 1
        turned = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
        turned[:, 2] += ((side - width) / 2, (side - height) / 2)
        return np.asarray(turned)

    def make(image_bgr: ImageBgr) -> ImageBgr:
        height, width = image_bgr.shape[:2]
        side = int(np.hypot(width, height)) + 1
        return np.asarray(cv2.warpAffine(image_bgr, matrix(width, height), (side, side)), np.uint8)

    return Change("rotation", make, matrix)


def _scale(factor: float) -> Change:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return Change(
        "scale",
        lambda image_bgr: np.asarray(
            cv2.resize(image_bgr, None, fx=factor, fy=factor, interpolation=how), np.uint8
        ),
        lambda _width, _height: np.eye(2, 3) * factor,
    )


def _jpeg(quality: int) -> Change:
    def make(image_bgr: ImageBgr) -> ImageBgr:
        data = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    return Change("jpeg", make, _still)


def _gamma(gamma: float) -> Change:
    table = np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return Change("light", lambda image_bgr: table[image_bgr], _still)


CHANGES = (
    *(_rotation(angle) for angle in (-15, 15)),
    *(_scale(factor) for factor in (0.5, 2)),
    *(_jpeg(quality) for quality in (30, 60)),
    *(_gamma(gamma) for gamma in (0.6, 1.6)),
)


class Measure:
    """Embeds the faces of pictures."""

    def __init__(self, model: Path | None) -> None:
        self.info = embedder_info(model)
        self._options = JobOptions(
            identity_model=None if model is None else str(model), embedder=self.info.name
        )
        self._runtime = Runtime(read_settings())

    def faces(self, image_bgr: ImageBgr) -> tuple[FloatArray, FloatArray, list[Embedding]]:
        """Centres (N, 2), sides (N,) and embeddings of the faces of a picture."""
        found = self._runtime.detector(self._options).detect([image_bgr])[0]
        embedder, landmarker = self._runtime.embedder(self._options), self._runtime.landmarker(self._options)
        embeddings = embed_faces(embedder, landmarker, image_bgr, found, range(len(found)))
        corners = found.boxes_xyxy.reshape(-1, 2, 2)
        return corners.mean(axis=1), np.sqrt(np.prod(corners[:, 1] - corners[:, 0], axis=1)), embeddings


def same_face(measure: Measure, image_bgr: ImageBgr) -> Iterator[tuple[str, float, float]]:
    """(change, side of the face in the picture, distance) of each face that is found again."""
    height, width = image_bgr.shape[:2]
    centres, sides, before = measure.faces(image_bgr)
    for change in CHANGES:
        matrix = change.matrix(width, height)
        there, _, after = measure.faces(change.make(image_bgr))
        zoom = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        for centre, side, embedding in zip(centres, sides, before, strict=True):
            away = np.linalg.norm(there - (matrix[:, :2] @ centre + matrix[:, 2]), axis=1)
            if len(away) and away.min() < _FOUND_WITHIN * side * zoom:
                yield change.kind, min(side, side * zoom), distance(embedding, after[int(away.argmin())])


def people(
    measure: Measure, pictures: dict[str, ImageBgr], groups: dict[str, list[list[int]]]
) -> list[Person]:
    """Everybody in the pictures."""
    found = []
    for name, image_bgr in pictures.items():
        _, sides, embeddings = measure.faces(image_bgr)
        group_of = {k: number for number, group in enumerate(groups.get(name, [])) for k in group}
        for k, embedding in enumerate(embeddings):
            found.append(Person(name, group_of.get(k, f"face {k}"), float(sides[k]), embedding))
    return found


def pairs(everybody: list[Person]) -> Iterator[tuple[str, float, float]]:
    """(what, side of the smaller face, distance) of each pair."""
    for i, one in enumerate(everybody):
        for other in everybody[:i]:
            is_same = one.picture == other.picture and one.group == other.group
            what = "same person, another photograph" if is_same else "another person"
            yield what, min(one.side, other.side), distance(one.embedding, other.embedding)


def main() -> None:
    """Print a line for each change and each size of face."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--identity-model", type=Path)
    parser.add_argument("--threshold", type=float)
    parser.add_argument(
        "--people", type=Path, help='JSON: {"picture.jpg": [[0, 3], [1, 2]]}: face numbers of one person'
    )
    arguments = parser.parse_args()
    measure = Measure(arguments.identity_model)
    groups = json.loads(arguments.people.read_text()) if arguments.people else {}
    pictures = {path.name: decode(path.read_bytes()) for path in sorted(arguments.folder.glob("*.jpg"))}
    threshold = arguments.threshold or measure.info.threshold or 0.0
    rows = [row for image_bgr in pictures.values() for row in same_face(measure, image_bgr)]
    rows += pairs(people(measure, pictures, groups))
    print(f"{measure.info.name}, threshold {threshold}; distances are 1 - cosine, sides in pixels")
    line = "{:<32} {:>9} {:>6} {:>8} {:>8} {:>8} {:>8} {:>10}"
    print(line.format("pair", "side", "n", "min", "median", "p95", "max", "accepted"))
    for low, high in ((0, 48), (48, 80), (80, 10_000)):
        for what in dict.fromkeys(row[0] for row in rows):
            found = np.array([d for kind, side, d in rows if kind == what and low <= side < high])
            if len(found):
                low_high = f"{low}-{high}" if high < 10_000 else f"{low}-"
                figures = (found.min(), np.median(found), np.percentile(found, 95), found.max())
                accepted = f"{np.mean(found <= threshold):.1%}"
                print(line.format(what, low_high, len(found), *(f"{x:.4f}" for x in figures), accepted))


if __name__ == "__main__":
    main()
