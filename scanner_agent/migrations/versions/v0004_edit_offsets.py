"""Fourth schema: how far each shot of an edited scan lay from its editing pulses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels = None
depends_on = None

_COLUMNS = ("edit_offset_hz", "edit_offset_sd_hz")


def upgrade() -> None:
    """Add the columns; scans from before have none of it."""
    for name in _COLUMNS:
        op.add_column("shots", sa.Column(name, sa.Float))


def downgrade() -> None:
    """Drop the columns."""
    for name in _COLUMNS:
        op.drop_column("shots", name)
