"""Which detections count: size, number, and the order in which faces are numbered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from common.ledger.rows import FaceRow
from common.options import MAX_FACES, JobOptions
from workers.detectors.base import Detection
from workers.identity.decision import Decision

Identify = Callable[[Sequence[int]], Mapping[int, Decision]]
"""Decides about the faces of one image with these ordinals."""


def select_faces(
    detection: Detection, width: int, height: int, options: JobOptions, identify: Identify | None = None
) -> tuple[FaceRow, ...]:
    """Every detection as a row: accepted ones with an index, rejected ones with the reason.

    Too small ones are rejected first, then those of other people; then `--largest-face` keeps the largest,
    `--max-faces` those with the highest scores; of no image more than `MAX_FACES` are accepted. Accepted faces
    are numbered in reading order: box centre left to right, then top to bottom.
    """
    boxes: list[list[float]] = detection.boxes_xyxy.tolist()
    scores: list[float] = detection.scores.tolist()
    least = options.min_face_px(width, height)
    status = {
        k: "accepted" if math.hypot(x2 - x1, y2 - y1) >= least else "rejected:min_size"
        for k, (x1, y1, x2, y2) in enumerate(boxes)
    }

    def accepted() -> list[int]:
        return [k for k, verdict in status.items() if verdict == "accepted"]

    decided = {} if identify is None else dict(identify(accepted()))
    status.update({k: "rejected:identity" for k, one in decided.items() if not one.is_accepted})
    if options.largest_face:
        by_area = sorted(accepted(), key=lambda k: -(boxes[k][2] - boxes[k][0]) * (boxes[k][3] - boxes[k][1]))
        status.update(dict.fromkeys(by_area[1:], "rejected:not_largest"))
    if options.max_faces is not None:
        by_score = sorted(accepted(), key=lambda k: -scores[k])
        status.update(dict.fromkeys(by_score[options.max_faces :], "rejected:max_faces"))
    by_score = sorted(accepted(), key=lambda k: -scores[k])
    status.update(dict.fromkeys(by_score[MAX_FACES:], "rejected:limit"))
    in_reading_order = sorted(
        accepted(), key=lambda k: (boxes[k][0] + boxes[k][2], boxes[k][1] + boxes[k][3], k)
    )
    index_of = {k: index for index, k in enumerate(in_reading_order)}
    return tuple(
        FaceRow(
            ordinal=k,
            face_index=index_of.get(k),
            status=status[k],
            x1=boxes[k][0],
            y1=boxes[k][1],
            x2=boxes[k][2],
            y2=boxes[k][3],
            score=scores[k],
            points_5=points_of(detection, k),
            angle=0.0 if detection.angles is None else float(detection.angles[k]),
            identity_rule=decided[k].rule if k in decided else None,
            wanted_distances=list(decided[k].wanted) if k in decided else None,
            unwanted_distances=list(decided[k].unwanted) if k in decided else None,
        )
        for k in range(len(boxes))
    )


def points_of(detection: Detection, k: int) -> list[list[float]] | None:
    """The five points of one face as they are stored; None where the detector gave none."""
    if detection.points5 is None or not np.isfinite(detection.points5[k]).all():
        return None
    points: list[list[float]] = detection.points5[k].tolist()
    return points
