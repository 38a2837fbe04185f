"""Create the records: runs, audit entries, effects."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("workflow_id", sa.String(1000), primary_key=True),
        sa.Column("chain_id", sa.String(64), nullable=False),
        sa.Column("requester", sa.String(255), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("entry_count", sa.Integer, nullable=False),
        sa.Column("head_hash", sa.String(64), nullable=False),
    )
    op.create_index("ix_runs_closed_at", "runs", ["closed_at"])
    op.create_table(
        "audit_entries",
        sa.Column("workflow_id", sa.String(1000), sa.ForeignKey("runs.workflow_id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.UniqueConstraint("workflow_id", "key", name="uq_audit_entries_workflow_id"),
    )
    op.create_table(
        "effects",
        sa.Column("idempotency_key", sa.String(1100), primary_key=True),
        sa.Column("workflow_id", sa.String(1000), sa.ForeignKey("runs.workflow_id"), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("receipt", sa.Text),
    )
    op.create_index("ix_effects_workflow_id", "effects", ["workflow_id"])
