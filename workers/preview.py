"""Everything that a job would make of one picture, in memory: for estimates and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from common.artifacts import plan_artifacts
from common.escaping import escape
from common.images import ReducedImage
from common.ledger.boxes import GivenFace
from common.ledger.claims import ClaimedFace
from common.options import JobOptions
from workers.artwork import File, make_artifacts
from workers.facepoints import find_points
from workers.finding import as_detection
from workers.identity.judge import IdentityJudge
from workers.provenance import Origin
from workers.runtime import Runtime
from workers.selection import select_faces
from workers.times import PartTimes
from workers.turning import detect_turning


def preview_image(
    runtime: Runtime,
    options: JobOptions,
    decoded: ReducedImage,
    relative_path: bytes,
    stem: bytes,
    times: PartTimes | None = None,
    given: Sequence[GivenFace] | None = None,
    identity_judge: IdentityJudge | None = None,
) -> tuple[int, dict[bytes, bytes]]:
    """The number of accepted faces, and path → bytes of every artifact; nothing is written.

    Args:
        decoded: the picture, unreduced; stays as it is.
        relative_path: chance comes from it.
        stem: the artifacts' names begin with it.
        times: gets the seconds of each part.
        given: its boxes, where the detector is `manual`.
        identity_judge: of a job with `--filter` or `--nfilter`.
    """
    times = times or PartTimes()
    image_bgr, width, height = decoded.image_bgr, decoded.width, decoded.height
    with times.part("detect"):
        if given is None:
            detection = detect_turning(runtime.detector(options), [image_bgr], options.rotate)[0]
        else:
            detection = as_detection(given, (width, height))
    identify = None if identity_judge is None else identity_judge.of(image_bgr, detection)
    rows = select_faces(detection, width, height, options, identify)
    accepted = [row for row in rows if row.face_index is not None]
    faces = [
        ClaimedFace(
            row.ordinal,
            row.face_index or 0,
            (row.x1, row.y1, row.x2, row.y2),
            row.points_5,
            ordinal=row.ordinal,
            score=row.score,
            angle=row.angle,
        )
        for row in sorted(accepted, key=lambda row: row.face_index or 0)
    ]
    with times.part("landmarks"):
        points = find_points(runtime.landmarker(options), image_bgr, faces, runtime.mask_judge(options))
    files: dict[bytes, bytes] = {}

    def keep(made: Sequence[File]) -> None:
        files.update((one.artifact.path, one.data) for one in made)

    planned = plan_artifacts(options, stem, [face.face_index for face in faces])
    by_index = {face.face_index: face for face in faces}
    origin = Origin(options, escape(relative_path), relative_path, stem, by_index)
    make_artifacts(
        options, relative_path, image_bgr, points, planned, keep, times, origin, decoded.compression
    )
    return len(faces), files
