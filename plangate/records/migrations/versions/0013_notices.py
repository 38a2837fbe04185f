"""Add notices and their deliveries."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("workflow_id", sa.String(1000), nullable=False),
        sa.Column("person", sa.String(1000), nullable=False),
        sa.Column("event", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("entered_at", _MOMENT, nullable=False),
        sa.Column("keep_until", _MOMENT),
        sa.UniqueConstraint("workflow_id", "person", "event", name="uq_notices_workflow_id"),
    )
    op.create_index("ix_notices_keep_until", "notices", ["keep_until"])
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("notice", sa.Integer, sa.ForeignKey("notices.id"), nullable=False),
        sa.Column("person", sa.String(1000), nullable=False),
        sa.Column("address", sa.String(2000), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.Column("next_at", _MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("tried_at", _MOMENT),
        sa.Column("ended_at", _MOMENT),
        sa.Column("is_repeat", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("message_id", sa.String(255), nullable=False),
    )
    op.create_index("ix_deliveries_notice", "deliveries", ["notice"])
    op.create_index("ix_deliveries_due", "deliveries", ["state", "next_at"])
    op.create_index("ix_deliveries_address", "deliveries", ["address", "state", "due_at"])
    op.create_index("ix_deliveries_ended", "deliveries", ["person", "ended_at"])
    op.create_table(
        "notifier",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("held_until", _MOMENT, nullable=False),
        sa.Column("checkpoint", sa.Integer),
        sa.Column("audience", sa.String(64), nullable=False),
        sa.Column("swept_to", sa.String(1000)),
    )
    op.bulk_insert(
        sa.table(
            "notifier",
            sa.column("id", sa.Integer),
            sa.column("holder", sa.String),
            sa.column("held_until", _MOMENT),
            sa.column("audience", sa.String),
        ),
        [{"id": 1, "holder": "", "held_until": _BEGINNING, "audience": ""}],
    )
    is_open = sa.text("closed_at IS NULL")
    op.create_index("ix_runs_open", "runs", ["workflow_id"], sqlite_where=is_open, postgresql_where=is_open)
