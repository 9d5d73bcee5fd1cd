"""Which faces wear a mask already, by a network that the user brings."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from common.arrays import FloatArray, ImageBgr
from common.errors import UnfitError
from workers.sessions import Session, open_session, trial_run

# The side of a face where the network takes any.
SIDE = 112
# From this probability on a face counts as masked.
MASKED = 0.5


class MaskJudge:
    """A classifier of faces: float32 [n, 3, H, W] -> [n], [n, 1] or [n, 2].

    Input: the face box squashed to H x W, channels red, green, blue, 0 to 1. H and W are the network's; 112
    where they are free. Output: how likely the face is masked, 0 to 1, as [n] or [n, 1]; or two scores, bare
    and masked, of which the larger wins.
    """

    def __init__(self, session: Session) -> None:
        """Take an open session that `open_mask_judge` has looked at."""
        self._session = session
        only = session.get_inputs()[0]
        self._name = only.name
        height, width = only.shape[2:]
        self._size_wh = (
            width if isinstance(width, int) else SIDE,
            height if isinstance(height, int) else SIDE,
        )

    def masked(self, image_bgr: ImageBgr, boxes_xyxy: FloatArray) -> list[bool]:
        """Return for each of (N, 4) boxes, pixels, whether its face wears a mask."""
        return [self._is_masked(image_bgr, box) for box in boxes_xyxy]

    def _is_masked(self, image_bgr: ImageBgr, box: FloatArray) -> bool:
        height, width = image_bgr.shape[:2]
        x1, y1 = np.clip(np.floor(box[:2]), 0, (width - 1, height - 1)).astype(int).tolist()
        x2, y2 = np.clip(np.ceil(box[2:]), (x1 + 1, y1 + 1), (width, height)).astype(int).tolist()
        face = cv2.resize(image_bgr[y1:y2, x1:x2], self._size_wh, interpolation=cv2.INTER_AREA)
        # One face at a time: the answer must not depend on who else is in the picture.
        tensor = np.ascontiguousarray(face[None, :, :, ::-1].transpose(0, 3, 1, 2), dtype=np.float32) / 255
        answer = np.asarray(self._session.run(None, {self._name: tensor})[0], np.float64).reshape(-1)
        if answer.size not in (1, 2):
            raise ValueError(f"[n], [n, 1] or [n, 2] was expected, got {answer.size} numbers for a face")
        return bool(answer[0] >= MASKED) if answer.size == 1 else bool(answer[1] > answer[0])


def open_mask_judge(path: Path, *, device: str, threads: int) -> MaskJudge:
    """Open a classifier; raises UnfitError where the file is none or its tensors are others."""
    if not path.is_file():
        raise UnfitError(f"--skip-masked {path}: no such file; give the ONNX file of a classifier")
    session = open_session(path, device, threads, label=f"the mask classifier {path}")
    inputs = session.get_inputs()
    if (
        len(inputs) != 1
        or inputs[0].type != "tensor(float)"
        or len(inputs[0].shape) != 4
        or inputs[0].shape[1] != 3
    ):
        raise UnfitError(
            f"the model {path} must take float32 [n, 3, H, W], it takes "
            f"{', '.join(f'{one.type} {one.shape}' for one in inputs)}; give another --skip-masked"
        )
    judge = MaskJudge(session)
    with trial_run(path, "a mask classifier"):
        judge.masked(np.zeros((SIDE, SIDE, 3), np.uint8), np.array([[0.0, 0.0, SIDE, SIDE]]))
    return judge
