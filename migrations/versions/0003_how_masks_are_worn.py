"""How a mask is worn, how the head is turned, and where the mask is seen."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: None = None
depends_on: None = None

_COLUMNS: dict[str, Any] = {
    "wear": sa.String(length=16),
    "texture": sa.String(length=32),
    "yaw": sa.Float(),
    "pitch": sa.Float(),
    "roll": sa.Float(),
    "x1": sa.Integer(),
    "y1": sa.Integer(),
    "x2": sa.Integer(),
    "y2": sa.Integer(),
    "polygon": sa.JSON(none_as_null=True),
}


def upgrade() -> None:
    for name, column_type in _COLUMNS.items():
        op.add_column("masks", sa.Column(name, column_type, nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("masks") as masks:
        for name in reversed(_COLUMNS):
            masks.drop_column(name)
