"""A user's network as an embedder; a description beside the file says what it wants to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.errors import UnfitError
from common.identity import Description
from workers.crops import STYLES, crop, matrix_for
from workers.geometry import Matrix
from workers.identity.base import Embedding, unit
from workers.sessions import Session, open_session, trial_run

_THREE_POINTS = [39, 42, 57]
"""Inner eye corners and centre of the lower lip, of the 68."""
_ARCFACE_SIDE = 112


class OnnxEmbedder:
    """float32 [1, 3, side, side] (or [1, side, side, 3]) -> numbers, one face at a time."""

    def __init__(self, session: Session, name: str, description: Description) -> None:
        """Take an open session that `open_onnx_embedder` has looked at."""
        self._session = session
        self._input = session.get_inputs()[0].name
        self._description = description
        self.name = name

    def embed(self, image_bgr: ImageBgr, points68: FloatArray, points5: FloatArray) -> Embedding:
        """Return (D,); arguments as in `Embedder`."""
        told = self._description
        matrix = alignment_matrix(told.alignment, told.side, points68, points5)
        # One face at a time: the answer must not depend on who else is in the picture.
        return self._run(crop(image_bgr, matrix, told.side, STYLES[told.alignment].border))

    def _run(self, face_bgr: ImageBgr) -> Embedding:
        told = self._description
        pixels = face_bgr[:, :, ::-1] if told.colors == "rgb" else face_bgr
        tensor = (pixels.astype(np.float32) - np.array(told.mean, np.float32)) / np.array(
            told.scale, np.float32
        )
        ordered = tensor.transpose(2, 0, 1) if told.layout == "nchw" else tensor
        answer = self._session.run(None, {self._input: np.ascontiguousarray(ordered[None])})[0]
        return unit(answer)

    def try_out(self) -> None:
        """Run it on a grey ramp: flat pictures of zeros give some networks no direction."""
        side = self._description.side
        ramp = np.linspace(0, 255, side * side * 3).reshape(side, side, 3).astype(np.uint8)
        self._run(ramp)


def alignment_matrix(style: str, side: int, points68: FloatArray, points5: FloatArray) -> Matrix:
    """Return the (2, 3) transform that cuts a face for a network.

    `buffalo` of a side that its table does not have (160, say) is the one of 112, enlarged as a whole.
    """
    points3 = points68[_THREE_POINTS]
    if STYLES[style].template == "arcface" and side % 112 and side % 128:
        return matrix_for(style, points5, points3, _ARCFACE_SIDE) * (side / _ARCFACE_SIDE)
    return matrix_for(style, points5, points3, side)


def open_onnx_embedder(
    path: Path, name: str, description: Description, *, device: str, threads: int
) -> OnnxEmbedder:
    """Open a network; raises UnfitError where its tensors are not those of its description."""
    session = open_session(path, device, threads, label=f"the identity model {path}")
    inputs, side = session.get_inputs(), description.side
    wanted = [3, side, side] if description.layout == "nchw" else [side, side, 3]
    fits = (
        len(inputs) == 1
        and inputs[0].type == "tensor(float)"
        and len(inputs[0].shape) == 4
        and all(
            got == want or not isinstance(got, int)
            for got, want in zip(inputs[0].shape, [1, *wanted], strict=True)
        )
    )
    if not fits:
        raise UnfitError(
            f"the model {path} must take float32 {[1, *wanted]} as its description says, it takes "
            f"{', '.join(f'{one.type} {one.shape}' for one in inputs)}; mend the description or give another file"
        )
    embedder = OnnxEmbedder(session, name, description)
    with trial_run(path, "an embedder of faces"):
        embedder.try_out()
    return embedder
