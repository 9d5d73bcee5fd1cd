"""A job with images in a real database, for the tests of the ledger."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import psutil
from sqlalchemy import Engine, text

from common.database import engine_for
from common.ledger.images import NewImage, record_images
from common.ledger.jobs import RecordedJob, add_inputs, find_job, open_job
from common.ledger.rows import ArtifactRow, AugmentedImage, ChunkTimes, DetectedImage, FaceRow, MaskRow
from common.options import JobOptions
from common.pipeline import ChunkMessage, Stage
from common.schema import upgrade
from producer.inputs import Input

OTHER_HOST = "elsewhere.example:7:1.00"


@dataclass
class Ledger:
    """One running job on an upgraded database."""

    engine: Engine
    job: RecordedJob
    input_id: int

    def add(self, *names: bytes, size: int = 10) -> list[int]:
        """Record images; the ids of the names, in their order."""
        record_images(self.engine, self.job.id, [self.new(name, size) for name in names])
        rows = {bytes(row["relative_path"]): row["id"] for row in self.rows("images")}
        return [rows[name] for name in names]

    def new(self, name: bytes, size: int = 10) -> NewImage:
        return NewImage(self.input_id, name, os.path.splitext(name)[0], size, 1, None)

    def rows(self, table: str) -> list[Mapping[str, Any]]:
        with self.engine.connect() as connection:
            return [
                dict(row) for row in connection.execute(text(f"SELECT * FROM {table} ORDER BY id")).mappings()
            ]

    def image(self, image_id: int) -> Mapping[str, Any]:
        return next(row for row in self.rows("images") if row["id"] == image_id)

    def message(self, *ids: int) -> ChunkMessage:
        return ChunkMessage(self.job.name, ids)

    def set(self, image_id: int, **values: Any) -> None:
        columns = ", ".join(f"{name} = :{name}" for name in values)
        with self.engine.begin() as connection:
            connection.execute(
                text(f"UPDATE images SET {columns} WHERE id = :id"), {"id": image_id, **values}
            )


def open_ledger(url: str) -> Ledger:
    """Upgrade an empty database and open a job in it."""
    url = url.replace("postgresql://", "postgresql+psycopg://")
    upgrade(url)
    engine = engine_for(url)
    options = JobOptions(crop_styles=("buffalo",))
    job = open_job(
        engine, output=b"/out", output_given=b"out", options=options, follow_symlinks=False, version="0"
    )
    (input_id,) = add_inputs(engine, job, [Input("directory", b"in", b"/in")])
    found = find_job(engine, name=job.name)
    assert found is not None
    return Ledger(engine, found, input_id)


def living_owner() -> str:
    """A process that is not this one and lives."""
    process = psutil.Process(os.getppid())
    return f"{socket.gethostname()}:{process.pid}:{process.create_time():.2f}"


def dead_owner() -> str:
    """A process of this machine that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    start = psutil.Process(process.pid).create_time()
    process.communicate(b"\n")
    return f"{socket.gethostname()}:{process.pid}:{start:.2f}"


def face(ordinal: int, index: int | None, x: float = 1.5) -> FaceRow:
    return FaceRow(
        ordinal, index, "accepted" if index is not None else "rejected:x", x, 2, x + 3, 6, 0.9, None
    )


def detected(image_id: int, *faces: FaceRow) -> DetectedImage:
    return DetectedImage(image_id, 40, 30, faces)


def augmented(image_id: int, *paths: bytes, reason: str | None = None) -> AugmentedImage:
    mask = MaskRow(0, 0, "N95-white", "N95", "#ffffff", 0.01, 1.5, reason)
    artifacts = [ArtifactRow(k, "crop", 0, 0, "buffalo", path, 3, f"{k:064}") for k, path in enumerate(paths)]
    return AugmentedImage(image_id, (mask,), tuple(artifacts), {})


def times(stage: Stage) -> ChunkTimes:
    counts = {one.name: 1 for one in fields(ChunkTimes)}
    return ChunkTimes(
        **{**counts, "stage": stage, "started_at": 1.0, "seconds": {"total": 0.5}, "cpu": {"sql": 0.1}}
    )  # type: ignore[arg-type]
