"""The SQL tables. Paths are bytes (file names need not be UTF-8), times are seconds since 1970 (UTC).

::

    jobs ─< inputs ─< images ─< faces
                        └────< masks ─── one drawing decision per (image, variant, face)
                        └────< artifacts ─ one written file each
    jobs ─< videos          the index of each input video
    jobs ─< given_boxes     where the user says that faces are (`--boxes`)
    jobs ─< identity_references   pictures of wanted and unwanted people
    jobs ─< chunks          what one task did, in how many seconds
    jobs ─< segment_runs ─< segment_images >─ images
    faces ─< segmentations ─ one map of a face by one masker

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
    text,
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
    or what a running job waits for. `found` is how many images the last command met in its inputs,
    `left_out` how many of them it was told to leave out; both are empty until it has met all.
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
    found: Mapped[int | None] = mapped_column(Integer)
    left_out: Mapped[int | None] = mapped_column(Integer)


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


class Video(Base):
    """The index of an input video; see `common.video_index.VideoIndex` for the columns.

    `path` is absolute, as the producer sees it. `arrays` are timestamps and keyframes, packed. `frames` is
    corrected when the last of them have been seen.
    """

    __tablename__ = "videos"
    __table_args__ = (UniqueConstraint("job_id", "path"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    path: Mapped[bytes] = mapped_column(LargeBinary)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    frames: Mapped[int] = mapped_column(Integer)
    packets: Mapped[int] = mapped_column(Integer)
    is_accurate: Mapped[bool] = mapped_column(Boolean)
    arrays: Mapped[bytes] = mapped_column(LargeBinary)


class Image(Base):
    """One input picture, or frame `frame_index` (from 0) of the video that its path has as its folder.

    States: `queued` -> `detected` -> `done`; `queued` -> `missed`; `queued` | `detected` -> `failed`;
    `done` -> `detected` when the job is extended by more artifacts.

    `attempts` counts the starts of the stage it is in, `starts` all there ever were, in any stage;
    `alone_starts` those in a task of its own that ended without a word (the process died). A claim holds
    until `claimed_until`. `version` is that of the maskmill which wrote the last result.
    `keyframe_index` is the frame from which decoding begins; size and time of a frame are those of its video.
    """

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("job_id", "relative_path"),
        UniqueConstraint("job_id", "stem"),
        Index("images_by_state", "job_id", "status", "id"),
        Index("images_in_order", "input_id", "relative_path"),
        Index(
            "images_failures",
            *("job_id", "error_code"),
            sqlite_where=text("status = 'failed'"),
            postgresql_where=text("status = 'failed'"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    input_id: Mapped[int] = mapped_column(ForeignKey("inputs.id", ondelete="CASCADE"))
    relative_path: Mapped[bytes] = mapped_column(LargeBinary)
    stem: Mapped[bytes] = mapped_column(LargeBinary)
    written: Mapped[bytes | None] = mapped_column(LargeBinary)
    size: Mapped[int | None] = mapped_column(BigInteger)
    mtime_ns: Mapped[int | None] = mapped_column(BigInteger)
    frame_index: Mapped[int | None] = mapped_column(Integer)
    keyframe_index: Mapped[int | None] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(16))
    sent_at: Mapped[float | None] = mapped_column(Float)
    claimed_by: Mapped[str | None] = mapped_column(String(255))
    claimed_until: Mapped[float | None] = mapped_column(Float)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    starts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    alone_starts: Mapped[int] = mapped_column(Integer, default=0)
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    detected_by: Mapped[str | None] = mapped_column(String(255))
    augmented_by: Mapped[str | None] = mapped_column(String(255))
    version: Mapped[str | None] = mapped_column(String(32))
    finished_at: Mapped[float | None] = mapped_column(Float)
    error_stage: Mapped[str | None] = mapped_column(String(16))
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)


class Face(Base):
    """One detection. `face_index` is its place in reading order, empty when it was rejected.

    `status` is `accepted` or `rejected:<why>`; `points_5` and `points_68` are lists of [x, y], pixels.
    `angle` is how far the picture was turned, degrees clockwise, when the face was found; box and points are
    those of the upright picture. 0 without `--rotate`, empty in rows of earlier versions.
    `identity_rule` is the row of the decision table that applied (6 accepts; empty without an identity
    filter); the distances are those to the job's references of each list, in the order of their ids.
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
    angle: Mapped[float | None] = mapped_column(Float)
    points_5: Mapped[list[list[float]] | None] = mapped_column(JSON(none_as_null=True))
    points_68: Mapped[list[list[float]] | None] = mapped_column(JSON(none_as_null=True))
    identity_rule: Mapped[int | None] = mapped_column(Integer)
    wanted_distances: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    unwanted_distances: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))


class IdentityReference(Base):
    """A picture of a wanted or unwanted person (`list`).

    `sha256` is of the file's bytes; `embedding` is float32, little-endian, of the largest of its `faces`,
    whose box is x1, y1, x2, y2; `embedder` names what made it: only embeddings of one name are compared.
    """

    __tablename__ = "identity_references"
    __table_args__ = (UniqueConstraint("job_id", "sha256"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    list: Mapped[str] = mapped_column(String(8))
    path: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[str] = mapped_column(String(64))
    embedder: Mapped[str] = mapped_column(String(64))
    embedding: Mapped[bytes] = mapped_column(LargeBinary)
    faces: Mapped[int] = mapped_column(Integer)
    x1: Mapped[float] = mapped_column(Float)
    y1: Mapped[float] = mapped_column(Float)
    x2: Mapped[float] = mapped_column(Float)
    y2: Mapped[float] = mapped_column(Float)


class GivenBox(Base):
    """One box of `--boxes`: where the user says that a face is. `line` is its place in what was given.

    `path` is the absolute path of the image as the producer sees it; the other columns are those of `Face`.
    """

    __tablename__ = "given_boxes"
    __table_args__ = (UniqueConstraint("job_id", "path", "line"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    path: Mapped[bytes] = mapped_column(LargeBinary)
    line: Mapped[int] = mapped_column(Integer)
    x1: Mapped[float] = mapped_column(Float)
    y1: Mapped[float] = mapped_column(Float)
    x2: Mapped[float] = mapped_column(Float)
    y2: Mapped[float] = mapped_column(Float)
    score: Mapped[float] = mapped_column(Float)
    angle: Mapped[float] = mapped_column(Float)
    points_5: Mapped[list[list[float]] | None] = mapped_column(JSON(none_as_null=True))


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

    `kind` is `full`, `labels`, `crop` or `landmarks`; `variant` is empty for the unmasked original; `face_index`
    is empty for a whole picture. `position` is its place among the artifacts of its image. `pixel_hash`
    (`common.pixel_hash`) finds a crop without loss again that was packed anew.
    """

    __tablename__ = "artifacts"
    __table_args__ = (
        UniqueConstraint("image_id", "path"),
        Index("artifacts_by_pixels", "pixel_hash"),
        Index("artifacts_by_content", "sha256"),
    )

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
    pixel_hash: Mapped[str | None] = mapped_column(String(40))


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

    `seconds` maps the parts (`read`, `decode`, `detect`, `identity`, `landmarks`, `draw`, `crop`, `encode`,
    `write`, `sql`, `total`, `cpu`) to seconds of wall clock; under `cpu_parts` it maps them to seconds of
    CPU, with what the process spent before it: `store` and `queue` since its last chunk, or `start`.
    """

    __tablename__ = "chunks"
    __table_args__ = (
        Index("chunks_by_job", "job_id", "stage"),
        Index(
            "chunks_totals",
            *("job_id", "stage", "worker", "started_at", "images", "faces", "artifacts", "undrawn"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    stage: Mapped[str] = mapped_column(String(16))
    worker: Mapped[str] = mapped_column(String(255))
    images: Mapped[int] = mapped_column(Integer)
    faces: Mapped[int] = mapped_column(Integer)
    artifacts: Mapped[int] = mapped_column(Integer)
    undrawn: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[float] = mapped_column(Float)
    seconds: Mapped[dict[str, Any]] = mapped_column(JSON)


class SegmentRun(Base):
    """One `maskmill segment` of a job; it has the states of a job, and columns of the same names.

    `masker` is the name under which maps are stored, `network` the path of its ONNX file; `selection` says
    which inputs it was confined to (a JSON list of escaped paths; empty: none), which are folders of crops where
    `input_type` is `faces`. `previews` is the folder that pictures go to.
    """

    __tablename__ = "segment_runs"
    __table_args__ = (Index("segment_runs_by_job", "job_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(8), unique=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    masker: Mapped[str] = mapped_column(String(64))
    network: Mapped[bytes | None] = mapped_column(LargeBinary)
    mode: Mapped[str] = mapped_column(String(16))
    input_type: Mapped[str] = mapped_column(String(8))
    selection: Mapped[str] = mapped_column(Text)
    previews: Mapped[bytes | None] = mapped_column(LargeBinary)
    full_size: Mapped[bool] = mapped_column(Boolean)
    blur_kernel: Mapped[int] = mapped_column(Integer)
    threshold: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(Text)
    started_at: Mapped[float] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)


class SegmentImage(Base):
    """One image in a segmentation: `queued` -> `done` | `failed`, claimed as images are.

    Of its accepted `faces` so many were `updated`, `kept` since they had a map already, or `left_out`: without
    landmarks, or in `preview` without a map. `previews` counts the pictures written.

    `crops` are the files that show them where crops are the input: `face_id`, `folder` (its place in the
    selection), `path` (below it, escaped), `style`, `variant`, `side` (pixels), and `matrix` and `recorded_side` of
    the record in the file (null without).
    """

    __tablename__ = "segment_images"
    __table_args__ = (
        UniqueConstraint("run_id", "image_id"),
        Index("segment_images_by_state", "run_id", "status", "id"),
        Index("segment_images_by_image", "image_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("segment_runs.id", ondelete="CASCADE"))
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(String(16))
    sent_at: Mapped[float | None] = mapped_column(Float)
    claimed_by: Mapped[str | None] = mapped_column(String(255))
    claimed_until: Mapped[float | None] = mapped_column(Float)
    attempts: Mapped[int] = mapped_column(Integer)
    starts: Mapped[int] = mapped_column(Integer)
    alone_starts: Mapped[int] = mapped_column(Integer)
    segmented_by: Mapped[str | None] = mapped_column(String(255))
    version: Mapped[str | None] = mapped_column(String(32))
    finished_at: Mapped[float | None] = mapped_column(Float)
    error_stage: Mapped[str | None] = mapped_column(String(16))
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_message: Mapped[str | None] = mapped_column(Text)
    faces: Mapped[int] = mapped_column(Integer)
    updated: Mapped[int] = mapped_column(Integer)
    kept: Mapped[int] = mapped_column(Integer)
    left_out: Mapped[int] = mapped_column(Integer)
    previews: Mapped[int] = mapped_column(Integer)
    crops: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON(none_as_null=True))


class Segmentation(Base):
    """The map of one face by one masker: side x side bytes (0 to 255) in rows, packed by zlib.

    `matrix`, [[a, b, tx], [c, d, ty]], takes a point (x, y) of the upright image to the map, in pixels whose
    centres are whole numbers.
    """

    __tablename__ = "segmentations"
    __table_args__ = (UniqueConstraint("face_id", "masker"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    face_id: Mapped[int] = mapped_column(ForeignKey("faces.id", ondelete="CASCADE"))
    masker: Mapped[str] = mapped_column(String(64))
    side: Mapped[int] = mapped_column(Integer)
    map: Mapped[bytes] = mapped_column(LargeBinary)
    matrix: Mapped[list[list[float]]] = mapped_column(JSON)
    made_at: Mapped[float] = mapped_column(Float)
