"""How often an image was begun, and which version ended it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0010"
down_revision: str | None = "0008"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("images", sa.Column("starts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("images", sa.Column("version", sa.String(length=32), nullable=True))


def downgrade() -> None:
    # Not in a batch: that drops the table for a moment, and with it, by cascade, all rows of faces and files.
    op.drop_column("images", "version")
    op.drop_column("images", "starts")
