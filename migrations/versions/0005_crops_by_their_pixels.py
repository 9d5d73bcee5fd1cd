"""A crop is found again by its pixels or by its content."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: None = None
depends_on: None = None


def upgrade() -> None:
    op.add_column("artifacts", sa.Column("pixel_hash", sa.String(length=40), nullable=True))
    op.create_index("artifacts_by_pixels", "artifacts", ["pixel_hash"])
    op.create_index("artifacts_by_content", "artifacts", ["sha256"])


def downgrade() -> None:
    op.drop_index("artifacts_by_content", "artifacts")
    op.drop_index("artifacts_by_pixels", "artifacts")
    op.drop_column("artifacts", "pixel_hash")
