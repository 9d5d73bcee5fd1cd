"""Compares the faces of images with a job's references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from common.arrays import ImageBgr
from common.errors import UnfitError
from common.identity import DLIB_RESNET, embedder_info
from common.ledger.claims import ClaimedFace
from common.ledger.references import ReferenceRow
from common.options import JobOptions
from workers.detectors.base import Detection
from workers.facepoints import find_points
from workers.identity.base import Embedder, Embedding, distance
from workers.identity.decision import Decision, decide
from workers.landmarks.base import Landmarker
from workers.selection import Identify, points_of


class IdentityJudge:
    """The references of one job with what compares faces with them."""

    def __init__(
        self,
        embedder: Embedder,
        landmarker: Landmarker,
        references: Sequence[ReferenceRow],
        threshold: float,
    ) -> None:
        """Take the references of one job.

        Raises:
            UnfitError: one was made by another embedder.
        """
        for row in references:
            if row.embedder != embedder.name:
                raise UnfitError(
                    f"the references of this job were made by {row.embedder}, here the identity model is "
                    f"{embedder.name}: the two cannot be compared; give this machine the same model and description"
                )
        self._embedder = embedder
        self._landmarker = landmarker
        self._threshold = threshold
        self._wanted = [read_embedding(row) for row in references if row.list == "wanted"]
        self._unwanted = [read_embedding(row) for row in references if row.list == "unwanted"]

    def of(self, image_bgr: ImageBgr, detection: Detection) -> Identify:
        """What `select_faces` asks about the detections of one image."""
        return partial(self._identify, image_bgr, detection)

    def _identify(
        self, image_bgr: ImageBgr, detection: Detection, ordinals: Sequence[int]
    ) -> Mapping[int, Decision]:
        found = embed_faces(self._embedder, self._landmarker, image_bgr, detection, ordinals)
        return {k: self._decide(embedding) for k, embedding in zip(ordinals, found, strict=True)}

    def _decide(self, embedding: Embedding) -> Decision:
        wanted = [distance(embedding, one) for one in self._wanted]
        unwanted = [distance(embedding, one) for one in self._unwanted]
        return decide(wanted, unwanted, self._threshold)


def embed_faces(
    embedder: Embedder,
    landmarker: Landmarker,
    image_bgr: ImageBgr,
    detection: Detection,
    ordinals: Sequence[int],
) -> list[Embedding]:
    """The embeddings of some of an image's detections, in their order."""
    if not ordinals:
        return []
    angles = [0.0 if detection.angles is None else float(detection.angles[k]) for k in ordinals]
    x1, y1, x2, y2 = (detection.boxes_xyxy[list(ordinals)].T).tolist()
    faces = [
        ClaimedFace(k, place, box, points_of(detection, k), angle=angle)
        for place, (k, box, angle) in enumerate(
            zip(ordinals, zip(x1, y1, x2, y2, strict=True), angles, strict=True)
        )
    ]
    found = find_points(landmarker, image_bgr, faces)
    return [embedder.embed(image_bgr, one.points68, one.crop_points5) for one in found]


def require_references(options: JobOptions, references: Sequence[ReferenceRow]) -> None:
    """Refuse a job whose references are not in SQL: without them every face would pass.

    Raises:
        UnfitError: some are missing.
    """
    wanted = {*options.filters, *options.nfilters}
    if wanted != {row.sha256 for row in references}:
        raise UnfitError(
            f"the job has {len(wanted)} reference pictures, its database {len(references)}; "
            "run the same command again, which records them"
        )


def open_embedder(options: JobOptions, dlib_path: Path | None, *, device: str) -> Embedder:
    """Open the embedder of a job.

    Args:
        dlib_path: the file of dlib's ResNet, where no `identity_model` is given.

    Raises:
        UnfitError: it is missing, or not the one that the job was begun with.
    """
    model = None if options.identity_model is None else Path(options.identity_model)
    info = embedder_info(model)
    if options.embedder is not None and info.name != options.embedder:
        raise UnfitError(
            f"the job was begun with the identity model {options.embedder}, here it is {info.name}: "
            "give this machine the same model and description"
        )
    if info.description is not None and model is not None:
        from workers.identity.onnx_embedder import open_onnx_embedder

        return open_onnx_embedder(model, info.name, info.description, device=device, threads=1)
    from workers.identity.dlib_resnet import open_dlib_resnet

    path = model or dlib_path
    assert path is not None, f"the caller finds {DLIB_RESNET}"
    return open_dlib_resnet(path, info.name)


def read_embedding(row: ReferenceRow) -> Embedding:
    """The embedding of a row."""
    return np.frombuffer(row.embedding, "<f4").astype(np.float32)
