"""Add the bytes of attachments, each under its SHA-256."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "attachments",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for act, condition in (
            ("UPDATE", "1"),
            ("DELETE", "1"),
            # INSERT OR REPLACE would delete the old row without firing the trigger on DELETE.
            ("INSERT", "EXISTS (SELECT 1 FROM attachments WHERE sha256 = NEW.sha256)"),
        ):
            op.execute(
                f"CREATE TRIGGER attachments_no_{act.lower()} BEFORE {act} ON attachments WHEN {condition} "
                "BEGIN SELECT RAISE(ABORT, 'attachments: recorded rows cannot be changed'); END"
            )
    else:
        for act, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER attachments_no_{act.split()[0].lower()} BEFORE {act} ON attachments "
                f"FOR EACH {each} EXECUTE FUNCTION plangate_refuse()"
            )
