"""The segment stage: a map for every face that wants one, previews, rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from common.arrays import FloatArray
from common.atomic_writer import AtomicWriter
from common.database import persistently
from common.errors import ImageError
from common.images import encode_png
from common.ledger.claims import ClaimedFace, ClaimedImage
from common.ledger.maps import (
    FaceMap,
    SegmentedImage,
    store_segmented,
    stored_maps,
)
from common.ledger.rows import ChunkTimes, Failure
from common.ledger.segments import RecordedRun, SegmentRequest
from workers.augment import Inside
from workers.geometry import Matrix, transform_points
from workers.maskers.base import FaceMasker
from workers.maskers.maps import pack, unpack
from workers.maskers.previews import on_face, preview, sharpened
from workers.runtime import Runtime
from workers.sources import Sources, attempt
from workers.times import PartTimes
from workers.views import View, aligned, points68, view_of_image, views_of_crops


@dataclass(frozen=True)
class _Chunk:
    """What the images of a chunk share."""

    request: SegmentRequest
    masker: FaceMasker | None
    stored: Mapping[int, FaceMap]
    sources: Sources
    crop_folders: Sequence[bytes]
    inside: Inside | None
    writer: AtomicWriter
    times: PartTimes


def segment_chunk(
    runtime: Runtime, run: RecordedRun, images: Sequence[ClaimedImage], times: PartTimes
) -> None:
    """Make the maps of the faces of claimed images, write their previews, store all in one commit."""
    request = run.request
    faces = [face.id for image in images for face in image.faces]
    with times.part("sql"):
        stored = persistently(lambda: stored_maps(runtime.engine, request.masker, faces))
    folder = None if request.previews is None else runtime.settings.local_path(request.previews)
    segmented: list[SegmentedImage] = []
    failures: list[Failure] = []
    with AtomicWriter(runtime.settings.durability) as writer:
        chunk = _Chunk(
            request,
            None if request.mode == "preview" else runtime.masker(request),
            stored,
            runtime.sources(run.job, images),
            [os.path.realpath(runtime.settings.local_path(one)) for one in request.crop_folders],
            None if folder is None else Inside(os.path.realpath(folder)),
            writer,
            times,
        )
        for image in images:

            def work(image: ClaimedImage = image) -> SegmentedImage:
                with writer.group():
                    return _segment_image(chunk, image)

            outcome = attempt(run, image, work)
            if isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                segmented.append(outcome)
        with times.part("write"):
            writer.commit()
    chunk_times = ChunkTimes(
        "segment",
        len(images),
        len(faces),
        sum(one.previews for one in segmented),
        sum(one.left_out for one in segmented),
        times.started_at,
        times.seconds(),
        times.cpu_seconds(),
    )
    runtime.store(
        lambda: store_segmented(
            runtime.engine, run, segmented, failures, owner=runtime.owner, times=chunk_times
        )
    )


def _segment_image(chunk: _Chunk, image: ClaimedImage) -> SegmentedImage:
    """Make what is missing of one image; pictures are read only where their pixels are needed.

    Raises:
        ImageError: one cannot be used, or a preview cannot be written.
    """
    made: list[FaceMap] = []
    left_out = previews = 0
    wanted = None if image.crops is None else {one["face_id"] for one in image.crops}
    load = cache(lambda: chunk.sources.load(image, chunk.times))
    for face in image.faces:
        if wanted is not None and face.id not in wanted:
            continue
        face_map = chunk.stored.get(face.id)
        try:
            if image.crops is None:
                views = [view_of_image(image, face, load)]
            else:
                views = views_of_crops(image.crops, face, chunk.crop_folders, chunk.times)
            points = None if chunk.masker is None else points68(face)
        except ValueError:
            # Without landmarks, or with all of them in one place.
            left_out += 1
            continue
        if chunk.masker is not None and (face_map is None or chunk.request.mode == "all"):
            assert points is not None
            face_map = _make(chunk, chunk.masker, face, points, views[0])
            made.append(face_map)
        if face_map is None:
            left_out += 1
        elif chunk.inside is not None:
            for view in views:
                _write_pictures(chunk, face, face_map, view)
            previews += len(views)
    return SegmentedImage(image.id, tuple(made), left_out, previews)


def _make(chunk: _Chunk, masker: FaceMasker, face: ClaimedFace, points_xy: FloatArray, view: View) -> FaceMap:
    """The map of one face, as it is seen in one picture."""
    from_picture = np.linalg.inv(_whole(view.to_picture))
    points = transform_points(view.to_picture, points_xy)
    picture = view.picture() if masker.needs_pixels else None
    with chunk.times.part("segment"):
        found = masker.make(picture, points, aligned(face) @ from_picture)
        return pack(face.id, found.picture, found.matrix @ _whole(view.to_picture))


def _whole(matrix: Matrix) -> Matrix:
    """(3, 3) from (2, 3)."""
    return np.vstack([matrix, (0.0, 0.0, 1.0)])


def _write_pictures(chunk: _Chunk, face: ClaimedFace, face_map: FaceMap, view: View) -> None:
    assert chunk.inside is not None
    try:
        picture, matrix = unpack(face_map)
    except ValueError as exc:
        raise ImageError("unexpected", str(exc)) from exc
    stem = b"%s_%d_%s_mask" % (view.stem, face.face_index, chunk.request.masker.encode())
    face_bgr = view.face_bgr()
    with chunk.times.part("draw"):
        sharp = sharpened(picture, chunk.request.threshold, chunk.request.blur_kernel)
        pictures = {stem + b"_preview.png": preview(face_bgr, on_face(sharp, matrix, view.face, view.side))}
        if chunk.request.full_size:
            pictures[stem + b"_full.png"] = view.over_picture(picture, matrix)
    for name, pixels in pictures.items():
        with chunk.times.part("encode"):
            data = encode_png(pixels)
        with chunk.times.part("write"):
            chunk.writer.stage(chunk.inside(name), data)
