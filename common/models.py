"""The SQL tables. Paths are bytes (file names need not be UTF-8), times are seconds since 1970 (UTC).

::

    jobs ─< inputs ─< images ─< faces
                        └────< masks ─── one drawing decision per (image, variant, face)
                        └────< artifacts ─ one written file each
    jobs ─< chunks          what one task did, in how many seconds

Every table has a natural key besides its id, so that each write is an idempotent upsert.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

BigId = BigInteger().with_variant(Integer, "sqlite")
"""64-bit key; SQLite numbers rows by itself only in a column of type INTEGER."""


class Base(DeclarativeBase):
    """Common metadata of all tables."""


class Job(Base):
    """One run over one input into one output with one set of options.

    States: `running` -> `done`; `running` -> `interrupted` (Ctrl-C) or `halted` (a worker cannot serve
    it), both -> `running` by the same command; `running` -> `cancelled`. `error` says why it was halted,
    or what a running job waits for.
    """

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(8), unique=True)
    output: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    output_given: Mapped[bytes] = mapped_column(LargeBinary)
    options: Mapped[dict[str, Any]] = mapped_column(JSON)
    follow_symlinks: Mapped[bool] = mapped_column(Boolean, default=False)
    state: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(Text)
    version: Mapped[str] = mapped_column(String(32))
    provider: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[float] = mapped_column(Float)
    started_at: Mapped[float] = mapped_column(Float)
    scanned_at: Mapped[float | None] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)


class InputRow(Base):
    """One `--input` of a job; `position` is the order in which they were first given."""

    __tablename__ = "inputs"
    __table_args__ = (UniqueConstraint("job_id", "position"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(16))
    given: Mapped[bytes] = mapped_column(LargeBinary)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    prefix: Mapped[bytes] = mapped_column(LargeBinary)


class Image(Base):
    """One input picture.

    States: `queued` -> `detected` -> `done`; `queued` -> `missed`; `queued` | `detected` -> `failed`;
    `done` -> `detected` when the job is extended by more artifacts.

    `attempts` counts the starts of the stage it is in; `alone_starts` those in a task of its own that
    ended without a word (the process died). A claim holds until `claimed_until`.
    """

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("job_id", "relative_path"),
        UniqueConstraint("job_id", "stem"),
        Index("images_by_state", "job_id", "status", "id"),
        Index("images_in_order", "input_id", "relative_path"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    input_id: Mapped[int] = mapped_column(ForeignKey("inputs.id", ondelete="CASCADE"))
    relative_path: Mapped[bytes] = mapped_column(LargeBinary)
    stem: Mapped[bytes] = mapped_column(LargeBinary)
    written: Mapped[bytes | None] = mapped_column(LargeBinary)
    size: Mapped[int | None] = mapped_column(BigInteger)
    mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    sent_at: Mapped[float | None] = mapped_column(Float)
    claimed_by: Mapped[str | None] = mapped_column(String(255))
    claimed_until: Mapped[float | None] = mapped_column(Float)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    alone_starts: Mapped[int] = mapped_column(Integer, default=0)
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    detected_by: Mapped[str | None] = mapped_column(String(255))
    augmented_by: Mapped[str | None] = mapped_column(String(255))
    finished_at: Mapped[float | None] = mapped_column(Float)
    error_stage: Mapped[str | None] = mapped_column(String(16))
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)


class Face(Base):
    """One detection. `face_index` is its place in reading order, empty when it was rejected.

    `status` is `accepted` or `rejected:<why>`; `points_5` and `points_68` are lists of [x, y], pixels.
    """

    __tablename__ = "faces"
    __table_args__ = (UniqueConstraint("image_id", "ordinal"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    ordinal: Mapped[int] = mapped_column(Integer)
    face_index: Mapped[int | None] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(32))
    x1: Mapped[float] = mapped_column(Float)
    y1: Mapped[float] = mapped_column(Float)
    x2: Mapped[float] = mapped_column(Float)
    y2: Mapped[float] = mapped_column(Float)
    score: Mapped[float] = mapped_column(Float)
    points_5: Mapped[list[list[float]] | None] = mapped_column(JSON(none_as_null=True))
    points_68: Mapped[list[list[float]] | None] = mapped_column(JSON(none_as_null=True))


class Mask(Base):
    """What was drawn on one face in one variant, or why the face was left alone (`reason`).

    `texture` is the seed of folds and weave, hexadecimal; yaw, pitch and roll are degrees; the visible part
    of the mask lies in the box x1, y1, x2, y2 (pixels, maxima exclusive) and is outlined by `polygon`, a
    list of [x, y]. They are empty where nothing was drawn, and in rows of earlier versions.
    """

    __tablename__ = "masks"
    __table_args__ = (UniqueConstraint("image_id", "variant", "face_index"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    variant: Mapped[int] = mapped_column(Integer)
    face_index: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(64))
    mask_type: Mapped[str] = mapped_column(String(32))
    mask_color: Mapped[str] = mapped_column(String(7))
    y_offset: Mapped[float] = mapped_column(Float)
    rotation_angle: Mapped[float] = mapped_column(Float)
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    wear: Mapped[str | None] = mapped_column(String(16))
    texture: Mapped[str | None] = mapped_column(String(32))
    yaw: Mapped[float | None] = mapped_column(Float)
    pitch: Mapped[float | None] = mapped_column(Float)
    roll: Mapped[float | None] = mapped_column(Float)
    x1: Mapped[int | None] = mapped_column(Integer)
    y1: Mapped[int | None] = mapped_column(Integer)
    x2: Mapped[int | None] = mapped_column(Integer)
    y2: Mapped[int | None] = mapped_column(Integer)
    polygon: Mapped[list[list[int]] | None] = mapped_column(JSON(none_as_null=True))


class Artifact(Base):
    """One written file. `path` is relative to the output.

    `kind` is `full`, `labels` or `crop`; `variant` is empty for the unmasked original; `face_index` is
    empty for a whole picture. `position` is its place among the artifacts of its image.
    """

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("image_id", "path"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(16))
    variant: Mapped[int | None] = mapped_column(Integer)
    face_index: Mapped[int | None] = mapped_column(Integer)
    crop_style: Mapped[str | None] = mapped_column(String(32))
    path: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))


class Lease(Base):
    """Who does a thing that only one process should do, until when."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(255))
    until: Mapped[float] = mapped_column(Float)


class DeadLetter(Base):
    """A message that was refused: it was not made by us, or not by this version."""

    __tablename__ = "dead_letters"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    received_at: Mapped[float] = mapped_column(Float)
    stage: Mapped[str] = mapped_column(String(16))
    worker: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str] = mapped_column(Text)
    content: Mapped[str] = mapped_column(Text)


class Chunk(Base):
    """What one task did: one row per delivery that worked on at least one image.

    `seconds` maps the parts (`read`, `decode`, `detect`, `landmarks`, `draw`, `crop`, `encode`,
    `write`, `sql`, `total`, `cpu`) to seconds.
    """

    __tablename__ = "chunks"
    __table_args__ = (Index("chunks_by_job", "job_id", "stage"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    stage: Mapped[str] = mapped_column(String(16))
    worker: Mapped[str] = mapped_column(String(255))
    images: Mapped[int] = mapped_column(Integer)
    faces: Mapped[int] = mapped_column(Integer)
    artifacts: Mapped[int] = mapped_column(Integer)
    undrawn: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[float] = mapped_column(Float)
    seconds: Mapped[dict[str, float]] = mapped_column(JSON)
