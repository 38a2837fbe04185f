"""Find due deliveries without reading those that are due later."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index("ix_deliveries_due_at", "deliveries", ["state", "due_at"])
