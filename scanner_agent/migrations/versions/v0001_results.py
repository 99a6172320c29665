"""First schema: scans, shots, assessments, metabolites, findings, reports and the journal cursor."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels = None
depends_on = None


def _scan_id(*, primary_key: bool = True) -> sa.Column[str]:
    return sa.Column(
        "scan_id", sa.String(64), sa.ForeignKey("scans.scan_id", ondelete="CASCADE"), primary_key=primary_key
    )


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "scans",
        sa.Column("scan_id", sa.String(64), primary_key=True),
        sa.Column("visit_id", sa.String(64), index=True),
        sa.Column("sequence", sa.String(200)),
        sa.Column("scanner", sa.String(200)),
        sa.Column("is_phantom", sa.Boolean),
        sa.Column("started_at", sa.Float, index=True),
        sa.Column("header", sa.LargeBinary, nullable=False),
        sa.Column("end_status", sa.String(16)),
        sa.Column("end_reason", sa.String(200)),
        sa.Column("verdict", sa.String(16)),
        sa.Column("advice", sa.String(16)),
    )
    op.create_table(
        "shots",
        _scan_id(),
        sa.Column("shot_index", sa.Integer, primary_key=True),
        sa.Column("edit_condition", sa.String(8)),
        sa.Column("used", sa.Boolean, nullable=False),
        sa.Column("segment", sa.Integer),
        sa.Column("reason", sa.Text),
        sa.Column("weight", sa.Float),
        sa.Column("frequency_hz", sa.Float),
        sa.Column("frequency_sd_hz", sa.Float),
        sa.Column("phase_deg", sa.Float),
        sa.Column("phase_sd_deg", sa.Float),
        sa.Column("amplitude", sa.Float),
        sa.Column("amplitude_sd", sa.Float),
        sa.Column("linewidth_hz", sa.Float),
        sa.Column("residual_water", sa.Float),
        sa.Column("misfit", sa.Float),
    )
    op.create_table(
        "assessments",
        _scan_id(),
        sa.Column("n_shots_seen", sa.Integer, primary_key=True),
        sa.Column("shot_index", sa.Integer),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("advice", sa.String(16), nullable=False),
        sa.Column("n_shots_used", sa.Integer, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "metabolites",
        _scan_id(),
        sa.Column("spectrum", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("amplitude", sa.Float, nullable=False),
        sa.Column("crlb_sd", sa.Float),
        sa.Column("percent_sd", sa.Float),
        sa.Column("percent_sd_lcmodel", sa.Float),
        sa.Column("ratio_to_tCr", sa.Float),
        sa.Column("ratio_to_tCr_sd", sa.Float),
        sa.Column("institutional_units", sa.Float),
        sa.Column("molal_mmol_per_kg", sa.Float),
        sa.Column("gated", sa.Boolean, nullable=False),
    )
    op.create_table(
        "findings",
        _scan_id(),
        sa.Column("rank", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False, index=True),
        sa.Column("severity", sa.String(8), nullable=False),
        sa.Column("first_shot", sa.Integer),
        sa.Column("last_shot", sa.Integer),
        sa.Column("raised_at_shot", sa.Integer),
        sa.Column("evidence", sa.LargeBinary, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "reports",
        _scan_id(),
        sa.Column("verdict", sa.String(16), nullable=False, index=True),
        sa.Column("snr_lcmodel", sa.Float),
        sa.Column("snr_naa", sa.Float),
        sa.Column("fwhm_hz", sa.Float),
        sa.Column("fwhm_ppm", sa.Float),
        sa.Column("water_fwhm_hz", sa.Float),
        sa.Column("frequency_drift_hz_per_min", sa.Float),
        sa.Column("protocol", sa.String(64), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "journal_cursor",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("cursor", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("journal_cursor", "reports", "findings", "metabolites", "assessments", "shots", "scans"):
        op.drop_table(table)
