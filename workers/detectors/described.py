"""One detector for every layout: fit the picture, run the network, decode, suppress, come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.errors import UnfitError
from workers.descriptions import Description, read_description
from workers.detectors.base import Detection, rounded
from workers.detectors.batching import BatchRunner
from workers.detectors.boxes import clip_boxes, nms, touching_image
from workers.detectors.frames import Frame, declared_size, fit, to_input
from workers.detectors.layouts import LAYOUTS, Candidates, Layout
from workers.opening import open_network
from workers.sessions import Provider, Session, provider_of, trial_run

_TRIAL_SIDE = 256


class Described:
    """Detector over a user's ONNX file of one of the layouts."""

    def __init__(
        self,
        session: Session,
        description: Description,
        *,
        score: float,
        nms_iou: float,
        side: int,
        batch: int,
    ) -> None:
        """Take an open session; thresholds, side and batch as in CenterFace.

        Raises:
            ValueError: the outputs are not those of the layout.
        """
        self.name = description.layout
        self.provider: Provider = provider_of(session)
        self._layout = LAYOUTS[description.layout]
        self._description = description
        self._score, self._nms_iou, self._side = score, nms_iou, side
        shape = session.get_inputs()[0].shape
        self._size_wh = declared_size(shape, description.input)
        self._fixed: int | None = shape[0] if isinstance(shape[0], int) else None
        self._names = [output.name for output in session.get_outputs()]
        self._roles, has_batch_axis = self._try(session)
        # An output without an axis for the batch cannot be told apart for two pictures.
        most = (self._fixed or batch) if has_batch_axis and not self._layout.is_single else 1
        self._has_batch_axis = has_batch_axis
        self._runner = BatchRunner(session, self._to_input, most)

    @property
    def batch(self) -> int:
        """The most images that the network takes at once."""
        return self._runner.batch

    def detect(self, images_bgr: Sequence[ImageBgr]) -> list[Detection]:
        """Return the faces of each image, in order, in pixels of that image."""
        frames = [fit(image, self._description.input, self._size_wh, self._side) for image in images_bgr]
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, frame in enumerate(frames):
            groups.setdefault(frame.image_bgr.shape, []).append(index)
        found: dict[int, Detection] = {}
        for members in groups.values():
            waiting = iter(members)
            for outputs in self._runner.run([frames[index] for index in members]):
                # A network of fixed batch answers for the black pictures at the end, too.
                for place, index in zip(range(self._runner.batch), waiting):  # noqa: B905
                    height, width = images_bgr[index].shape[:2]
                    candidates = self._decode(outputs, place, frames[index])
                    found[index] = finish(
                        candidates, frames[index].factors, (width, height), self._score, self._nms_iou
                    )
        return [found[index] for index in range(len(images_bgr))]

    def _decode(self, outputs: Sequence[Any], place: int, frame: Frame) -> Candidates:
        by_name = dict(zip(self._names, outputs, strict=True))
        one = {
            role: [np.asarray(self._of_one(by_name[name], place), dtype=np.float64) for name in names]
            for role, names in self._roles.items()
        }
        height, width = frame.image_bgr.shape[:2]
        with np.errstate(over="ignore", invalid="ignore"):
            return self._layout.decode(one, (width, height), self._description.decode)

    def _of_one(self, output: Any, place: int) -> Any:
        return output[place] if self._has_batch_axis else output

    def _to_input(self, frames: Sequence[Frame]) -> Any:
        return to_input([frame.image_bgr for frame in frames], self._description.input, self._fixed)

    def _try(self, session: Session) -> tuple[Mapping[str, tuple[str, ...]], bool]:
        """Run once on black; returns role → output names, and whether outputs have an axis for the batch."""
        blank = np.zeros((_TRIAL_SIDE, _TRIAL_SIDE, 3), dtype=np.uint8)
        frame = fit(blank, self._description.input, self._size_wh, _TRIAL_SIDE)
        answers = session.run(None, {session.get_inputs()[0].name: self._to_input([frame])})
        shapes = dict(zip(self._names, (answer.shape for answer in answers), strict=True))
        roles = assign_roles(self._layout, self._description.outputs, shapes)
        plain = 3 if self._layout.is_map else 2
        ranks = {len(shapes[name]) for names in roles.values() for name in names}
        self._has_batch_axis = min(ranks) > plain
        self._roles = roles
        self._decode(answers, 0, frame)
        return roles, self._has_batch_axis


def finish(
    candidates: Candidates, factors: FloatArray, size_wh: tuple[int, int], score: float, nms_iou: float
) -> Detection:
    """Return the faces among candidates, in pixels of the image, clipped to it.

    Args:
        candidates: in pixels of the network's input.
        factors: (2,), width and height there over those of the image.
    """
    # Of a box far from every face the logarithm of the size can be anything.
    accepted = (candidates.scores >= score) & np.isfinite(candidates.boxes_xyxy).all(axis=1)
    boxes = candidates.boxes_xyxy[accepted] / np.tile(factors, 2)
    scores = np.minimum(candidates.scores[accepted], 1.0)
    points = None if candidates.points5 is None else candidates.points5[accepted] / factors
    inside = touching_image(boxes, size_wh)
    boxes, scores = boxes[inside], scores[inside]
    kept = nms(boxes, scores, nms_iou)
    return rounded(
        clip_boxes(boxes[kept], size_wh), scores[kept], None if points is None else points[inside][kept]
    )


def assign_roles(
    layout: Layout, named: Mapping[str, tuple[str, ...]], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[str, ...]]:
    """Return role → output names: as described, as published, or by shape (most cells first).

    Raises:
        ValueError: a name is unknown or a role has no output.
    """
    roles = {**layout.names, **named}
    for role, names in roles.items():
        unknown = [name for name in names if name not in shapes]
        if unknown:
            raise ValueError(f"it has no output {unknown[0]} ({role}), but {', '.join(shapes)}")
    taken = {name for names in roles.values() for name in names}
    for role, width in layout.widths.items():
        if role in roles:
            continue
        fitting = [
            name
            for name, shape in shapes.items()
            if name not in taken and len(shape) >= 2 and shape[-3 if layout.is_map else -1 :][0] == width
        ]
        if fitting:
            roles[role] = tuple(sorted(fitting, key=lambda name: -int(np.prod(shapes[name]))))
        elif role not in layout.optional:
            raise ValueError(f"it has no output for {role} (last axis {width}): {shapes}")
    return roles


def open_described(
    name: str,
    path: Path,
    *,
    device: str,
    threads: int,
    score: float,
    nms_iou: float,
    side: int,
    batch: int | None,
    cache_dir: Path | None,
) -> Described:
    """Open a detector of a layout; raises UnfitError where file or description do not fit it."""
    description = read_description(path, name, LAYOUTS[name].input)
    if description.models:
        raise UnfitError(f"the description {path}: models: the layout {name} has one network: say model")
    session = open_network(
        description.model,
        device=device,
        threads=threads,
        cache_dir=cache_dir,
        label=f"the detector {description.model}",
    )
    if len(session.get_inputs()) != 1 or len(session.get_inputs()[0].shape) != 4:
        raise UnfitError(
            f"the model {description.model} must have one input of four axes for {name}, got "
            f"{', '.join(f'{one.name} {one.shape}' for one in session.get_inputs())}"
        )
    if batch is None:
        batch = 16 if provider_of(session) == "CUDA" else 1
    with trial_run(description.model, f"a detector of the layout {name}"):
        return Described(session, description, score=score, nms_iou=nms_iou, side=side, batch=batch)
