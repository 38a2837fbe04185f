"""Add the state of a run and the end of its review, so that lists need not read every trail."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("runs", sa.Column("state", sa.String(16)))
    op.add_column("runs", sa.Column("deadline", sa.DateTime(timezone=True)))
    op.create_index("ix_runs_state_deadline", "runs", ["state", "deadline"])
