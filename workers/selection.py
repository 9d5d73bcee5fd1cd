"""Which detections count: size, number, and the order in which faces are numbered."""

from __future__ import annotations

import math

from common.ledger.results import FaceRow
from common.options import JobOptions
from workers.detectors.base import Detection


def select_faces(detection: Detection, width: int, height: int, options: JobOptions) -> tuple[FaceRow, ...]:
    """Every detection as a row: accepted ones with an index, rejected ones with the reason.

    Too small ones are rejected first; then `--largest-face` keeps the largest, `--max-faces` those with
    the highest scores. Accepted faces are numbered in reading order: box centre left to right, then top
    to bottom.
    """
    boxes = [tuple(float(value) for value in box) for box in detection.boxes_xyxy]
    scores = [float(score) for score in detection.scores]
    least = options.min_face_px(width, height)
    status = {
        k: "accepted" if math.hypot(x2 - x1, y2 - y1) >= least else "rejected:min_size"
        for k, (x1, y1, x2, y2) in enumerate(boxes)
    }

    def accepted() -> list[int]:
        return [k for k, verdict in status.items() if verdict == "accepted"]

    if options.largest_face:
        by_area = sorted(accepted(), key=lambda k: -(boxes[k][2] - boxes[k][0]) * (boxes[k][3] - boxes[k][1]))
        status.update(dict.fromkeys(by_area[1:], "rejected:not_largest"))
    if options.max_faces is not None:
        by_score = sorted(accepted(), key=lambda k: -scores[k])
        status.update(dict.fromkeys(by_score[options.max_faces :], "rejected:max_faces"))
    in_reading_order = sorted(
        accepted(), key=lambda k: (boxes[k][0] + boxes[k][2], boxes[k][1] + boxes[k][3], k)
    )
    index_of = {k: index for index, k in enumerate(in_reading_order)}
    points = detection.points5
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
            points_5=None if points is None else [[float(x), float(y)] for x, y in points[k]],
        )
        for k in range(len(boxes))
    )
