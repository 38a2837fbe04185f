"""Add whether each running worker can draft plans."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("workers", sa.Column("drafts", sa.Boolean))
