"""Results out of SQL: `logs.csv`, `missed_images.txt`, and the tables behind them."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Engine, Row

from common.errors import ImageError, UsageError
from common.escaping import escape
from common.files import write_atomically
from common.ledger.jobs import RecordedJob
from common.ledger.maps import maps_of
from common.ledger.reports import image_pages, rows_of
from common.models import Artifact, Face, Mask

Record = dict[str, object]

LOG_COLUMNS = (
    "image_path",
    "mask_type",
    "mask_color",
    "error",
    "output_path",
    "status",
    "augmentation",
    "face_index",
    "crop_style",
    "mask_y_offset",
    "mask_rotation_angle",
    "attempts",
    "seed",
    "width",
    "height",
    "mask_kind",
    "artifact",
    "size",
    "sha256",
    "worker",
    "wear",
    "yaw",
    "pitch",
    "roll",
    "mask_texture",
    "mask_box",
    "mask_polygon",
)
FACE_COLUMNS = (
    "image_path",
    "face_index",
    "x1",
    "y1",
    "x2",
    "y2",
    "score",
    "points_5",
    "points_68",
    "status",
    "ordinal",
    "image_width",
    "image_height",
    "angle",
    "identity_rule",
    "wanted_distances",
    "unwanted_distances",
)
_FACE_LISTS = ("points_5", "points_68", "wanted_distances", "unwanted_distances")
_LISTS = (*_FACE_LISTS, "matrix")
IMAGE_COLUMNS = (
    "image_path",
    "status",
    "error_stage",
    "error_code",
    "error",
    "attempts",
    "width",
    "height",
    "faces",
    "artifacts",
    "size",
    "detected_by",
    "augmented_by",
    "stem",
    "starts",
    "version",
)
SEGMENTATION_COLUMNS = (
    "image_path",
    "face_index",
    "masker",
    "side",
    "matrix",
    "image_width",
    "image_height",
    "map",
)
_FLUSH_CHARS = 1 << 16


class Exporter:
    """The rows of one job, in input order, a page of images at a time."""

    def __init__(self, engine: Engine, job: RecordedJob) -> None:
        self._engine = engine
        self._job = job
        self._inputs = {one.id: one for one in job.inputs}

    def log_records(self) -> Iterator[Record]:
        """One record per artifact, per face left undrawn, and per failed or missed image."""
        for images in image_pages(self._engine, self._job):
            ids = [image.id for image in images]
            artifacts = rows_of(self._engine, Artifact, ids, Artifact.position)
            masks = rows_of(self._engine, Mask, ids, Mask.variant, Mask.face_index)
            for image in images:
                yield from self._log_of(image, artifacts.get(image.id, []), masks.get(image.id, []))

    def face_records(self) -> Iterator[Record]:
        """One record per detection, rejected ones too."""
        for images in image_pages(self._engine, self._job):
            faces = rows_of(self._engine, Face, [image.id for image in images], Face.face_index, Face.ordinal)
            for image in images:
                in_order = sorted(
                    faces.get(image.id, []), key=lambda face: (face.face_index is None, face.face_index)
                )
                for face in in_order:
                    yield {
                        "image_path": self.image_path(image),
                        "image_width": image.width,
                        "image_height": image.height,
                        **{name: getattr(face, name) for name in FACE_COLUMNS if hasattr(face, name)},
                        **{name: _json(getattr(face, name)) for name in _FACE_LISTS},
                    }

    def image_records(self) -> Iterator[Record]:
        """One record per image, in whatever state."""
        for images in image_pages(self._engine, self._job):
            ids = [image.id for image in images]
            faces = rows_of(self._engine, Face, ids)
            artifacts = rows_of(self._engine, Artifact, ids)
            for image in images:
                yield {
                    **{name: getattr(image, name) for name in IMAGE_COLUMNS if hasattr(image, name)},
                    "image_path": self.image_path(image),
                    "error": image.error_message,
                    "stem": escape(image.stem),
                    "faces": sum(face.face_index is not None for face in faces.get(image.id, [])),
                    "artifacts": len(artifacts.get(image.id, [])),
                }

    def segmentation_records(self, masker: str | None = None) -> Iterator[Record]:
        """One record per map, `map` in base64; of all maskers or one."""
        for images in image_pages(self._engine, self._job):
            maps = maps_of(self._engine, [image.id for image in images], masker)
            for image in images:
                for row in maps.get(image.id, []):
                    yield {
                        "image_path": self.image_path(image),
                        "face_index": row.face_index,
                        "masker": row.masker,
                        "side": row.side,
                        "matrix": _json(row.matrix),
                        "image_width": image.width,
                        "image_height": image.height,
                        "map": base64.b64encode(row.map).decode(),
                    }

    def missed_paths(self) -> Iterator[str]:
        """The path of every image without an accepted face."""
        for images in image_pages(self._engine, self._job):
            yield from (self.image_path(image) for image in images if image.status == "missed")

    def image_path(self, image: Row[Any]) -> str:
        """The input as the user gave it joined with the relative path, escaped."""
        return self._inputs[image.input_id].shown_path(image.relative_path, image.written)

    def _log_of(
        self, image: Row[Any], artifacts: Sequence[Row[Any]], masks: Sequence[Row[Any]]
    ) -> Iterator[Record]:
        common: Record = {
            "image_path": self.image_path(image),
            "status": image.status,
            "attempts": image.attempts,
            "seed": self._job.options.seed,
            "width": image.width,
            "height": image.height,
            "worker": image.augmented_by or image.detected_by,
        }
        if image.status == "missed":
            yield common
        elif image.status == "failed":
            yield {**common, "error": f"{image.error_code}: {image.error_message}"}
        # The same for all crops of a face, and for the whole picture where it is the only one.
        cells: dict[tuple[int, ...], Record] = {}
        for artifact in artifacts:
            drawn = tuple(
                place
                for place, mask in enumerate(masks)
                if mask.variant == artifact.variant
                and mask.reason is None
                and artifact.face_index in (None, mask.face_index)
            )
            if drawn not in cells:
                cells[drawn] = self._mask_cells([masks[place] for place in drawn])
            yield {
                **common,
                **cells[drawn],
                "output_path": escape(os.path.join(self._job.output_given, artifact.path)),
                "augmentation": artifact.variant,
                "face_index": artifact.face_index,
                "crop_style": artifact.crop_style,
                "artifact": artifact.kind,
                "size": artifact.size,
                "sha256": artifact.sha256,
            }
        for mask in masks:
            if mask.reason is not None:
                yield {
                    **common,
                    "error": f"undrawn: {mask.reason}: {mask.message}",
                    "augmentation": mask.variant,
                    "face_index": mask.face_index,
                }

    def _mask_cells(self, drawn: Sequence[Row[Any]]) -> Record:
        if not drawn:
            return {}
        chosen = {
            "mask_type": [mask.mask_type for mask in drawn],
            "mask_color": [mask.mask_color for mask in drawn],
            "mask_y_offset": [mask.y_offset for mask in drawn],
            "mask_rotation_angle": [mask.rotation_angle for mask in drawn],
            "mask_kind": [mask.kind for mask in drawn],
            "wear": [mask.wear for mask in drawn],
            "mask_texture": [mask.texture for mask in drawn],
        }
        seen: dict[str, list[object]] = {
            "yaw": [mask.yaw for mask in drawn],
            "pitch": [mask.pitch for mask in drawn],
            "roll": [mask.roll for mask in drawn],
            "mask_box": [None if mask.x1 is None else [mask.x1, mask.y1, mask.x2, mask.y2] for mask in drawn],
            "mask_polygon": [mask.polygon for mask in drawn],
        }
        several = len(drawn) > 1
        return {
            **{
                name: _cell(values, as_list=several and self._job.options.mask_per_face)
                for name, values in chosen.items()
            },
            **{name: _cell(values, as_list=several) for name, values in seen.items()},
        }


def _cell(values: Sequence[object], *, as_list: bool) -> object:
    """What stands in a cell for one mask, or for all of a picture: lists as JSON."""
    if as_list:
        return _json(values)
    return _json(values[0]) if isinstance(values[0], list) else values[0]


_TABLES: dict[str, tuple[tuple[str, ...], Callable[[Exporter], Iterator[Record]]]] = {
    "artifacts": (LOG_COLUMNS, Exporter.log_records),
    "images": (IMAGE_COLUMNS, Exporter.image_records),
    "faces": (FACE_COLUMNS, Exporter.face_records),
    "segmentations": (SEGMENTATION_COLUMNS, Exporter.segmentation_records),
}
TABLES = tuple(_TABLES)


def csv_chunks(exporter: Exporter, table: str) -> Iterator[bytes]:
    """A table as CSV: UTF-8, RFC 4180, empty where a column does not apply."""
    columns, records = _TABLES[table]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for record in records(exporter):
        # None is written as nothing.
        writer.writerow([record.get(name) for name in columns])
        if text.tell() > _FLUSH_CHARS:
            yield _drain(text)
    yield _drain(text)


def jsonl_chunks(exporter: Exporter, table: str) -> Iterator[bytes]:
    """A table as JSON lines; what does not apply is null."""
    columns, records = _TABLES[table]
    for record in records(exporter):
        row = {name: record.get(name) for name in columns}
        for name in _LISTS:
            if isinstance(row.get(name), str):
                row[name] = json.loads(str(row[name]))
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"


FORMATS: dict[str, Callable[[Exporter, str], Iterator[bytes]]] = {"csv": csv_chunks, "jsonl": jsonl_chunks}


def write_logs(engine: Engine, job: RecordedJob, output: bytes) -> None:
    """Write `logs.csv` and `missed_images.txt` into the output; each replaces the old one at once.

    Args:
        output: the job's output as this machine sees it.

    Raises:
        UsageError: the output cannot be written.
        TransientError: the disk is full or away.
    """
    exporter = Exporter(engine, job)
    missed = os.path.join(output, b"missed_images.txt")
    try:
        write_atomically(os.path.join(output, b"logs.csv"), csv_chunks(exporter, "artifacts"))
        paths = exporter.missed_paths()
        first = next(paths, None)
        if first is None:
            if os.path.exists(missed):
                os.unlink(missed)
        else:
            write_atomically(missed, _lines(first, paths))
    except ImageError as exc:
        raise UsageError(f"the exports cannot be written: {exc}") from exc


def _lines(first: str, rest: Iterable[str]) -> Iterator[bytes]:
    yield first.encode() + b"\n"
    for line in rest:
        yield line.encode() + b"\n"


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"))


def _drain(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data
