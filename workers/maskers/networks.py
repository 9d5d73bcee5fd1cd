"""Maps by a network that the user brings; a description beside the file says how to speak to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.arrays import FloatArray, GrayImage, ImageBgr
from common.errors import UnfitError
from common.maskers import Masker, NetworkDescription
from workers.crops import crop
from workers.geometry import Matrix
from workers.graphs import prepared_graph
from workers.maskers.base import MadeMap
from workers.maskers.maps import SIDE, region_matrix, shrink
from workers.sessions import Session, open_session, trial_run

_Scores = npt.NDArray[np.float32]


class NetworkMasker:
    """A segmentation network over ONNX Runtime."""

    needs_pixels = True

    def __init__(self, name: str, session: Session, description: NetworkDescription) -> None:
        self.name = name
        self._session = session
        self._about = description
        self._input = session.get_inputs()[0].name
        self._output = _output_of(session, description)

    def make(self, image_bgr: ImageBgr | None, points68: FloatArray, face: Matrix) -> MadeMap:
        """See `workers.maskers.base.FaceMasker`."""
        assert image_bgr is not None
        side, grow = self._about.input_side, self._about.region
        seen = crop(image_bgr, region_matrix(face, side, grow), side, "black")
        return MadeMap(shrink(self.segment(seen)), region_matrix(face, SIDE, grow))

    def segment(self, square_bgr: ImageBgr) -> GrayImage:
        """Run the network on one aligned square.

        Args:
            square_bgr: (side, side, 3) uint8, side as described.

        Returns:
            (h, w) uint8 at the network's own size: 255 times the probability of face, rounded.

        Raises:
            UnfitError: the answer does not have the shape that the description implies.
        """
        (answer,) = self._session.run([self._output], {self._input: self.prepare(square_bgr)})
        probability = face_probability(np.asarray(answer), self._about)
        return np.round(probability * 255.0).clip(0, 255).astype(np.uint8)

    def prepare(self, square_bgr: ImageBgr) -> _Scores:
        """(1, 3, side, side) or (1, side, side, 3) float32, as the description says."""
        pixels = square_bgr[..., ::-1] if self._about.colour_order == "rgb" else square_bgr
        values = (pixels.astype(np.float32) * np.float32(self._about.scale) - _floats(self._about.mean)) / (
            _floats(self._about.std)
        )
        ordered = values.transpose(2, 0, 1) if self._about.layout == "nchw" else values
        return np.ascontiguousarray(ordered[None], np.float32)


def open_network(
    masker: Masker, *, device: str, threads: int, cache_dir: Path | None = None
) -> NetworkMasker:
    """Open a network and try it once.

    Args:
        device: `auto`, `cpu` or `cuda:N`.
        threads: CPU threads for one operator.
        cache_dir: where prepared graphs are kept; None: nowhere.

    Raises:
        UnfitError: the file is no network, or not the one that its description describes.
    """
    assert masker.network is not None and masker.description is not None
    label = f"the network {masker.network}"
    session = open_session(prepared_graph(masker.network, cache_dir), device, threads, label)
    opened = NetworkMasker(masker.name, session, masker.description)
    side = masker.description.input_side
    with trial_run(masker.network, "a network for faces of its description"):
        opened.segment(np.zeros((side, side, 3), np.uint8))
    return opened


def face_probability(answer: npt.NDArray[Any], about: NetworkDescription) -> _Scores:
    """How likely each pixel is face, 0 to 1.

    Args:
        answer: (1, C, h, w), (1, h, w, C) with layout `nhwc`, or without the channels' axis.

    Returns:
        (h, w) float32.

    Raises:
        UnfitError: another shape, or no channel of that number.
    """
    scores = _channels_first(answer, about)
    if about.answer == "labels":
        return np.isin(scores[0], about.classes).astype(np.float32)
    numbers = about.classes if about.answer in ("softmax", "argmax") else (about.channel,)
    _check_channels(numbers, len(scores), about)
    if about.answer == "argmax":
        return np.isin(scores.argmax(axis=0), about.classes).astype(np.float32)
    if about.answer == "softmax":
        # The largest score is taken off first, so that no exponential overflows.
        parts = np.exp(scores - scores.max(axis=0))
        total: _Scores = parts[list(about.classes)].sum(axis=0) / parts.sum(axis=0)
        return total
    chosen = scores[about.channel]
    if about.answer == "sigmoid":
        chosen = 0.5 + 0.5 * np.tanh(chosen / 2)
    return np.nan_to_num(np.asarray(chosen, np.float32), nan=0.0).clip(0.0, 1.0)


def _channels_first(answer: npt.NDArray[Any], about: NetworkDescription) -> npt.NDArray[Any]:
    """(C, h, w) of an answer; C is 1 where it has no axis of channels."""
    if answer.ndim not in (3, 4) or answer.shape[0] != 1:
        raise UnfitError(
            f"a network for faces must answer (1, C, h, w), (1, h, w, C) or (1, h, w), got {answer.shape}"
        )
    scores = answer[0]
    if scores.ndim == 2:
        scores = scores[None]
    elif about.layout == "nhwc":
        scores = scores.transpose(2, 0, 1)
    if scores.shape[1] != scores.shape[2]:
        raise UnfitError(f"a network for faces must answer a square, got {answer.shape}; see its layout")
    return np.asarray(scores if about.answer == "labels" else scores.astype(np.float32))


def _check_channels(numbers: Sequence[int], count: int, about: NetworkDescription) -> None:
    wrong = [number for number in numbers if not 0 <= number < count]
    if wrong:
        raise UnfitError(
            f"the network answers with {count} channels, the description asks for number {wrong[0]} "
            f"(answer {about.answer}, layout {about.layout})"
        )


def _output_of(session: Session, about: NetworkDescription) -> str:
    names = [one.name for one in session.get_outputs()]
    if about.output is None:
        return str(names[0])
    if about.output not in names:
        raise UnfitError(f"the network has no output {about.output!r}; it has {', '.join(names)}")
    return about.output


def _floats(value: float | list[float]) -> _Scores:
    return np.asarray(value, np.float32)
