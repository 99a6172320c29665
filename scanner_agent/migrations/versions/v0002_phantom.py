"""Second schema: phantom runs and events. Both only grow: a correction is a row that names the one it stands for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels = None
depends_on = None


def _series() -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(200), nullable=False) for name in ("scanner", "coil", "phantom", "protocol")]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "phantom_runs",
        sa.Column("run_id", sa.String(36), primary_key=True),
        *_series(),
        sa.Column("measured_at", sa.Double, nullable=False),
        sa.Column("logged_at", sa.Double, nullable=False),
        sa.Column("scan_id", sa.String(64)),
        sa.Column("corrects", sa.String(36), index=True),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("measured", sa.Text, nullable=False),
    )
    op.create_index("ix_phantom_runs_series", "phantom_runs", ["scanner", "coil", "phantom", "protocol", "measured_at"])
    op.create_table(
        "phantom_events",
        sa.Column("event_id", sa.String(36), primary_key=True),
        sa.Column("scanner", sa.String(200), nullable=False, index=True),
        sa.Column("coil", sa.String(200)),
        sa.Column("happened_at", sa.Double, nullable=False),
        sa.Column("logged_at", sa.Double, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("corrects", sa.String(36)),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("phantom_events")
    op.drop_table("phantom_runs")
