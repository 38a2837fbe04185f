"""Add reservations of rolling totals, so that a claim can add up those of other plans."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("runs", sa.Column("reserves", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "reservations",
        sa.Column("workflow_id", sa.String(1000), sa.ForeignKey("runs.workflow_id"), primary_key=True),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("argument", sa.String(255), primary_key=True),
        sa.Column("scope", sa.String(64), primary_key=True),
        sa.Column("tool", sa.String(255), nullable=False),
        sa.Column("amount", sa.String(80)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_reservations_tool", "reservations", ["tool", "argument", "scope", "at"])
