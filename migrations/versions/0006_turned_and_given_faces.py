"""How far a picture was turned to find a face, and boxes that the user gives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: None = None
depends_on: None = None

_BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NUMBERS = ("x1", "y1", "x2", "y2", "score", "angle")


def upgrade() -> None:
    op.add_column("faces", sa.Column("angle", sa.Float(), nullable=True))
    op.create_table(
        "given_boxes",
        sa.Column("id", _BIG_ID, nullable=False),
        sa.Column("job_id", _BIG_ID, nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Float(), nullable=False) for name in _NUMBERS),
        sa.Column("points_5", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job_id", "path", "line"),
    )


def downgrade() -> None:
    op.drop_table("given_boxes")
    op.drop_column("faces", "angle")
