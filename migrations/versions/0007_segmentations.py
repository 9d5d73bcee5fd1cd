"""Maps of faces, and what asked for them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: None = None
depends_on: None = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _parent(name: str, table: str) -> sa.Column[Any]:
    return sa.Column(name, _ID, sa.ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "segment_runs",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("name", sa.String(8), nullable=False),
        _parent("job_id", "jobs"),
        sa.Column("masker", sa.String(64), nullable=False),
        sa.Column("network", sa.LargeBinary()),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("input_type", sa.String(8), nullable=False),
        sa.Column("selection", sa.Text(), nullable=False),
        sa.Column("previews", sa.LargeBinary()),
        sa.Column("full_size", sa.Boolean(), nullable=False),
        sa.Column("blur_kernel", sa.Integer(), nullable=False),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float()),
        sa.UniqueConstraint("name"),
    )
    op.create_index("segment_runs_by_job", "segment_runs", ["job_id"])
    op.create_table(
        "segment_images",
        sa.Column("id", _ID, primary_key=True),
        _parent("run_id", "segment_runs"),
        _parent("image_id", "images"),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("sent_at", sa.Float()),
        sa.Column("claimed_by", sa.String(255)),
        sa.Column("claimed_until", sa.Float()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("starts", sa.Integer(), nullable=False),
        sa.Column("alone_starts", sa.Integer(), nullable=False),
        sa.Column("segmented_by", sa.String(255)),
        sa.Column("version", sa.String(32)),
        sa.Column("finished_at", sa.Float()),
        sa.Column("error_stage", sa.String(16)),
        sa.Column("error_code", sa.String(32)),
        sa.Column("error_message", sa.Text()),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("faces", "updated", "kept", "left_out", "previews")
        ),
        sa.Column("crops", sa.JSON(none_as_null=True)),
        sa.UniqueConstraint("run_id", "image_id"),
    )
    op.create_index("segment_images_by_state", "segment_images", ["run_id", "status", "id"])
    op.create_index("segment_images_by_image", "segment_images", ["image_id"])
    op.create_table(
        "segmentations",
        sa.Column("id", _ID, primary_key=True),
        _parent("face_id", "faces"),
        sa.Column("masker", sa.String(64), nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.Column("map", sa.LargeBinary(), nullable=False),
        sa.Column("matrix", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.Float(), nullable=False),
        sa.UniqueConstraint("face_id", "masker"),
    )


def downgrade() -> None:
    for table in ("segmentations", "segment_images", "segment_runs"):
        op.drop_table(table)
