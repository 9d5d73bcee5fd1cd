"""Everything that a job would make of one picture, in memory: for estimates and benchmarks."""

from __future__ import annotations

from common.arrays import ImageBgr
from common.artifacts import PlannedArtifact, plan_artifacts
from common.ledger.claims import ClaimedFace
from common.options import JobOptions
from workers.artwork import find_points, make_artifacts
from workers.runtime import Runtime
from workers.selection import select_faces
from workers.times import PartTimes


def preview_image(
    runtime: Runtime,
    options: JobOptions,
    image_bgr: ImageBgr,
    relative_path: bytes,
    stem: bytes,
    times: PartTimes | None = None,
) -> tuple[int, dict[bytes, bytes]]:
    """The number of accepted faces, and path → bytes of every artifact; nothing is written.

    Args:
        image_bgr: (H, W, 3) uint8; stays as it is.
        relative_path: chance comes from it.
        stem: the artifacts' names begin with it.
        times: gets the seconds of each part.
    """
    times = times or PartTimes()
    height, width = image_bgr.shape[:2]
    with times.part("detect"):
        detection = runtime.detector(options).detect([image_bgr])[0]
    accepted = [row for row in select_faces(detection, width, height, options) if row.face_index is not None]
    faces = [
        ClaimedFace(row.ordinal, row.face_index or 0, (row.x1, row.y1, row.x2, row.y2), row.points_5)
        for row in sorted(accepted, key=lambda row: row.face_index or 0)
    ]
    with times.part("landmarks"):
        points = find_points(runtime.landmarker(options), image_bgr, faces, runtime.mask_judge(options))
    files: dict[bytes, bytes] = {}

    def keep(artifact: PlannedArtifact, data: bytes) -> None:
        files[artifact.path] = data

    planned = plan_artifacts(options, stem, [face.face_index for face in faces])
    make_artifacts(options, relative_path, image_bgr, points, planned, keep, times)
    return len(faces), files
