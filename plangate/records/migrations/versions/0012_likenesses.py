"""Add the index of steps for duplicates; older plans are not included."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "likenesses",
        sa.Column("workflow_id", sa.String(1000), sa.ForeignKey("runs.workflow_id"), primary_key=True),
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_hidden", sa.Integer, nullable=False),
    )
    op.create_index("ix_likenesses_digest", "likenesses", ["digest", "at"])
