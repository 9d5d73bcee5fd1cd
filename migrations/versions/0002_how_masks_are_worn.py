"""How a mask is worn, how the head is turned, and where the mask is seen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: None = None
depends_on: None = None

_COLUMNS = (
    sa.Column("wear", sa.String(length=16), nullable=True),
    sa.Column("texture", sa.String(length=32), nullable=True),
    sa.Column("yaw", sa.Float(), nullable=True),
    sa.Column("pitch", sa.Float(), nullable=True),
    sa.Column("roll", sa.Float(), nullable=True),
    sa.Column("x1", sa.Integer(), nullable=True),
    sa.Column("y1", sa.Integer(), nullable=True),
    sa.Column("x2", sa.Integer(), nullable=True),
    sa.Column("y2", sa.Integer(), nullable=True),
    sa.Column("polygon", sa.JSON(none_as_null=True), nullable=True),
)


def upgrade() -> None:
    with op.batch_alter_table("masks") as masks:
        for column in _COLUMNS:
            masks.add_column(column.copy())


def downgrade() -> None:
    with op.batch_alter_table("masks") as masks:
        for column in reversed(_COLUMNS):
            masks.drop_column(column.name)
