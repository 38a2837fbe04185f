"""Add the used policies and lists of people, each under its hash."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "rule_texts",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for act, condition in (
            ("UPDATE", "1"),
            ("DELETE", "1"),
            # INSERT OR REPLACE would delete the old row without firing the trigger on DELETE.
            ("INSERT", "EXISTS (SELECT 1 FROM rule_texts WHERE hash = NEW.hash)"),
        ):
            op.execute(
                f"CREATE TRIGGER rule_texts_no_{act.lower()} BEFORE {act} ON rule_texts WHEN {condition} "
                "BEGIN SELECT RAISE(ABORT, 'rule_texts: recorded rows cannot be changed'); END"
            )
    else:
        for act, each in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER rule_texts_no_{act.split()[0].lower()} BEFORE {act} ON rule_texts "
                f"FOR EACH {each} EXECUTE FUNCTION plangate_refuse()"
            )
