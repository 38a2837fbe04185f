"""Add the id of this installation, which fingerprints and signatures contain."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_KEPT = "installation: recorded rows cannot be changed"


def upgrade() -> None:
    table = op.create_table("installation", sa.Column("id", sa.String(32), primary_key=True))
    op.bulk_insert(table, [{"id": secrets.token_hex(16)}])
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE", "INSERT"):
            op.execute(
                f"CREATE TRIGGER installation_no_{act.lower()} BEFORE {act} ON installation "
                f"BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END"
            )
    else:
        for act, each in (("INSERT OR UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER installation_no_{act.split()[0].lower()} BEFORE {act} ON installation "
                f"FOR EACH {each} EXECUTE FUNCTION plangate_refuse()"
            )
