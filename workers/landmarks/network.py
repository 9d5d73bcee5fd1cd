"""Full batches of faces for a landmark network, whichever images they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from common.arrays import FloatArray, ImageBgr
from workers.detectors.batching import BatchRunner
from workers.landmarks.base import FacesOf, Landmarks, rounded
from workers.sessions import Provider, Session, provider_of

_BATCH = 64


@dataclass(frozen=True)
class FaceId:
    """One face on its way through the network: which image of the call, which face of the image."""

    image: int
    face: int


class FaceForm(Protocol):
    """What one network takes and gives."""

    @property
    def name(self) -> str:
        """The word that `--landmarks` takes."""

    def cut(self, image_bgr: ImageBgr, box_xyxy: FloatArray) -> ImageBgr:
        """Return the part of the image that the network wants for a face."""

    def to_input(self, crops: Sequence[ImageBgr]) -> Any:
        """Return the network's input."""

    def read(self, output: Any, box_xyxy: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (68, 2) and (5, 2) points of the image from the network's answer for one face."""


class NetworkLandmarker:
    """Landmarker over a network that looks at one crop a face."""

    def __init__(self, session: Session, form: FaceForm) -> None:
        """Take an open session whose first input is a batch of crops; a batch of fixed size is filled up."""
        self.name = form.name
        self.provider: Provider = provider_of(session)
        self._form = form
        declared = session.get_inputs()[0].shape[0]
        self._fixed: int | None = declared if isinstance(declared, int) else None
        self._images: Sequence[FacesOf] = ()
        self._runner = BatchRunner(session, self._to_input, self._fixed or _BATCH)

    @property
    def batch(self) -> int:
        """Faces given to the network at once."""
        return self._runner.batch

    def find(self, image_bgr: ImageBgr, boxes_xyxy: FloatArray, points5: FloatArray | None) -> Landmarks:
        """Return the points of each face; arguments as in `Landmarker`; points5 is not used."""
        return self.find_all([FacesOf(image_bgr, boxes_xyxy, points5)])[0]

    def find_all(self, images: Sequence[FacesOf]) -> list[Landmarks]:
        """Return the points of the faces of each image.

        Faces of one image may lie in two batches; an image without faces gives none.
        """
        waiting = [FaceId(k, face) for k, one in enumerate(images) for face in range(len(one.boxes_xyxy))]
        found = [
            (np.zeros((len(one.boxes_xyxy), 68, 2)), np.zeros((len(one.boxes_xyxy), 5, 2))) for one in images
        ]
        self._images = images
        try:
            at = 0
            for outputs in self._runner.run(waiting):
                # A network of fixed batch answers for the black crops at the end, too.
                answers = outputs[0][: len(waiting) - at]
                for whose, answer in zip(waiting[at : at + len(answers)], answers, strict=True):
                    points68, points5 = self._form.read(answer, self._box(whose))
                    found[whose.image][0][whose.face] = points68
                    found[whose.image][1][whose.face] = points5
                at += len(answers)
        finally:
            self._images = ()
        return [rounded(points68, points5) for points68, points5 in found]

    def _box(self, whose: FaceId) -> FloatArray:
        box: FloatArray = self._images[whose.image].boxes_xyxy[whose.face]
        return box

    def _to_input(self, faces: Sequence[FaceId]) -> Any:
        # Cut when their batch comes, so that only one batch of crops is held.
        crops = [self._form.cut(self._images[one.image].image_bgr, self._box(one)) for one in faces]
        crops += [np.zeros_like(crops[0])] * ((self._fixed or 0) - len(crops))
        return self._form.to_input(crops)
