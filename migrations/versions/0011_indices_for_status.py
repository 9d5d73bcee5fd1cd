"""Indices that have all that `status` adds up over chunks, whose rows are long, and over failed images."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_index(
        "chunks_totals",
        "chunks",
        ["job_id", "stage", "worker", "started_at", "images", "faces", "artifacts", "undrawn"],
    )
    failed = sa.text("status = 'failed'")
    op.create_index(
        "images_failures",
        "images",
        ["job_id", "error_code"],
        sqlite_where=failed,
        postgresql_where=failed,
    )


def downgrade() -> None:
    op.drop_index("images_failures", "images")
    op.drop_index("chunks_totals", "chunks")
