"""Add used signed decisions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("token_id", sa.String(200), primary_key=True),
        sa.Column("workflow_id", sa.String(1000), sa.ForeignKey("runs.workflow_id"), nullable=False),
        sa.Column("arrival_key", sa.String(255), nullable=False),
    )
