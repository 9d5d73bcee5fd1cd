"""Which faces a mask can be drawn on well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.arrays import FloatArray
from common.errors import UndrawableFace
from workers.masks.frame import FaceFrame, averages, read_frames
from workers.masks.mesh import Mesh

# Below these a mask is a smudge of a few pixels.
MIN_UNIT_PX = 5.0
# The parts of a face along its axis, in units: eyes 0, nose tip 0.5, mouth 1.1, chin 1.9 on average of
# ../shared/faces; there the narrowest gap is 0.3, and a head that nods far still keeps their order.
MIN_STEP = 0.08
# Widths in units: jaw ends are 2.3 apart in a frontal face and 0.9 in a full profile.
MIN_JAW = 0.45
MAX_JAW = 4.5
# The chin lies 1.6 to 2.2 units below the eyes.
MAX_CHIN = 4.0
# In a profile the eyes meet, and may pass each other by an error of the points.
MIN_EYE_GAP = -0.1
# Part of the near half's area that may be turned inside out.
MAX_FOLDED = 0.12
# Part of the mesh's vertices that must lie in the picture.
MIN_VISIBLE = 0.35
# Mean distance of the two sets of five points, in units. On the 43 faces of ../shared/faces CenterFace and
# dlib are 0.10 apart (median; most 0.22); 230 times started beside the face, dlib was off by 0.29 or more.
MAX_DISAGREEMENT = 0.27


def _rows(*weights: dict[range | int, float]) -> FloatArray:
    """Return the matrix whose rows, times what 68 points measure, are weighted sums of means of them."""
    matrix = np.zeros((len(weights), 68))
    for row, one in zip(matrix, weights, strict=True):
        for numbers, weight in one.items():
            row[numbers] += weight / (len(numbers) if isinstance(numbers, range) else 1)
    return matrix


# Brows, tip of the nose, mouth and chin; the widths of the jaw and between the eyes.
_MEASURES = _rows(
    {range(17, 27): 1.0},
    {30: 1.0},
    {48: 0.5, 54: 0.5},
    {8: 1.0},
    {16: 1.0, 0: -1.0},
    {range(42, 48): 1.0, range(36, 42): -1.0},
)
# The detector's five of the 68, as `workers.landmarks.points.five_points` takes them.
_FIVE = averages(tuple(range(36, 42)), tuple(range(42, 48)), (30,), (48,), (54,))


def judge_landmarks(
    landmarks: FloatArray, points: Sequence[FloatArray | None] | None = None
) -> list[FaceFrame | UndrawableFace]:
    """Return the frames of B faces whose points make sense, and why others are left alone.

    Args:
        landmarks: (B, 68, 2) x, y in pixels, iBUG order.
        points: the detector's for each face, (5, 2), where it has them.

    Returns:
        For each face its frame, or `too-small` or `landmarks-unsure`.
    """
    if landmarks.shape[1:] != (68, 2):
        raise ValueError(f"landmarks must be (B, 68, 2), got {landmarks.shape}")
    finite = np.asarray(np.isfinite(landmarks).all(axis=(1, 2)))
    if not finite.all():
        landmarks = np.where(finite[:, None, None], landmarks, 0.0)
    frames = read_frames(landmarks)
    units = [frame.unit for frame in frames]
    apart = [0.0] * len(frames) if points is None else points_apart(landmarks, points, units)
    extents = (landmarks.max(axis=1) - landmarks.min(axis=1)).max(axis=1).tolist()
    measures = (_MEASURES @ landmarks).tolist()
    return [
        _judged(*face) if is_finite else UndrawableFace("landmarks-unsure", "landmarks must be finite")
        for is_finite, *face in zip(finite.tolist(), frames, apart, extents, measures, strict=True)
    ]


def _judged(
    frame: FaceFrame, apart: float, extent: float, measures: list[list[float]]
) -> FaceFrame | UndrawableFace:
    """Return the frame of a face, or why it makes no sense; `measures` are those of `_MEASURES`."""
    if not apart <= MAX_DISAGREEMENT:
        return UndrawableFace(
            "landmarks-unsure",
            f"detector and landmarks must agree to {MAX_DISAGREEMENT:.2f}, got {apart:.2f}",
        )
    if max(frame.unit, 0.3 * extent) < MIN_UNIT_PX:
        return UndrawableFace(
            "too-small", f"the eyes must be {MIN_UNIT_PX:g} pixels apart or more, got {frame.unit:.1f}"
        )
    if frame.unit < MIN_UNIT_PX or extent > 8 * frame.unit:
        return UndrawableFace(
            "landmarks-unsure", f"{extent:.0f} pixels of face must not have eyes {frame.unit:.1f} apart"
        )
    # Eyes, brows, nose, mouth, chin and jaw are where a face has them.
    *places, (jaw_x, jaw_y), (eyes_x, eyes_y) = measures
    (start_x, start_y), (down_x, down_y) = frame.eyes.tolist(), frame.down.tolist()
    brow, nose, mouth, chin = (
        ((x - start_x) * down_x + (y - start_y) * down_y) / frame.unit for x, y in places
    )
    if not (brow < 0 and nose > MIN_STEP and mouth > nose + MIN_STEP and mouth + MIN_STEP < chin < MAX_CHIN):
        return UndrawableFace(
            "landmarks-unsure",
            "brows, eyes, nose, mouth and chin must follow each other, "
            f"got {brow:.2f}, 0, {nose:.2f}, {mouth:.2f}, {chin:.2f}",
        )
    right_x, right_y = frame.right.tolist()
    jaw = (jaw_x * right_x + jaw_y * right_y) / frame.unit
    eyes = (eyes_x * right_x + eyes_y * right_y) / frame.unit
    if not (MIN_JAW < jaw < MAX_JAW and eyes > MIN_EYE_GAP):
        return UndrawableFace(
            "landmarks-unsure", f"jaw and eyes must open to the sides, got widths of {jaw:.2f} and {eyes:.2f}"
        )
    return frame


def judge_mesh(mesh: Mesh, frame: FaceFrame, limit_xyxy: tuple[int, int, int, int]) -> UndrawableFace | None:
    """Return why a mask is left out that folds over itself or can hardly be seen; None for the others.

    Args:
        mesh: of the face.
        frame: its axes; the near half alone must lie flat, the far half folds in a profile.
        limit_xyxy: the part of the image that may change, maxima exclusive.

    Returns:
        None, or `landmarks-unsure` or `out-of-frame`.
    """
    if mesh.is_folded:
        middle = mesh.areas.shape[1] // 2
        areas = mesh.areas[:, :middle] if frame.yaw >= 0 else mesh.areas[:, middle:]
        folded = float(-np.minimum(areas, 0).sum() / max(float(np.abs(areas).sum()), 1e-9))
        if folded > MAX_FOLDED:
            return UndrawableFace(
                "landmarks-unsure", f"at most {MAX_FOLDED:.0%} of the mask may be folded, got {folded:.0%}"
            )
    x1, y1, x2, y2 = limit_xyxy
    left, top, right, bottom = mesh.box
    if left >= x1 - 0.5 and right <= x2 - 0.5 and top >= y1 - 0.5 and bottom <= y2 - 0.5:
        return None
    x, y = mesh.points[..., 0], mesh.points[..., 1]
    inside = (x >= x1 - 0.5) & (x <= x2 - 0.5) & (y >= y1 - 0.5) & (y <= y2 - 0.5)
    visible = np.count_nonzero(inside) / inside.size
    if visible < MIN_VISIBLE:
        return UndrawableFace(
            "out-of-frame",
            f"at least {MIN_VISIBLE:.0%} of the mask must be in the picture, got {visible:.0%}",
        )
    return None


def points_apart(
    landmarks: FloatArray, points: Sequence[FloatArray | None], units: Sequence[float]
) -> list[float]:
    """Return how far the detector's five points lie from those of the 68, in units of the face; 0 where it has none.

    Args:
        landmarks: (B, 68, 2) x, y in pixels, iBUG order.
        points: of each face (5, 2) left eye, right eye, nose, left and right corner of the mouth, as seen in the
            image.
        units: of the faces' frames.
    """
    own = _FIVE @ landmarks
    way = np.array([five if theirs is None else theirs for five, theirs in zip(own, points, strict=True)])
    way -= own
    way *= way
    apart: FloatArray = np.sqrt(way[..., 0] + way[..., 1]).sum(axis=-1) / 5
    return [one / max(unit, 1e-9) for one, unit in zip(apart.tolist(), units, strict=True)]
