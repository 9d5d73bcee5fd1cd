"""Reference pictures of people, and what was decided about each face."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from common.models import BigId

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.create_table(
        "identity_references",
        sa.Column("id", BigId, nullable=False),
        sa.Column("job_id", BigId, nullable=False),
        sa.Column("list", sa.String(length=8), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("embedder", sa.String(length=64), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), nullable=False),
        sa.Column("faces", sa.Integer(), nullable=False),
        sa.Column("x1", sa.Float(), nullable=False),
        sa.Column("y1", sa.Float(), nullable=False),
        sa.Column("x2", sa.Float(), nullable=False),
        sa.Column("y2", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "sha256"),
    )
    op.add_column("faces", sa.Column("identity_rule", sa.Integer(), nullable=True))
    op.add_column("faces", sa.Column("wanted_distances", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("faces", sa.Column("unwanted_distances", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    for name in ("unwanted_distances", "wanted_distances", "identity_rule"):
        op.drop_column("faces", name)
    op.drop_table("identity_references")
