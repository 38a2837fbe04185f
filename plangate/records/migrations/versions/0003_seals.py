"""Add checkpoints and seals, and triggers that refuse changes of written rows.

The triggers prevent mistakes by a script, a console or another program. An attacker who may alter tables can
drop them, but the hashes and the checkpoints still reveal the change.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_KEPT = ("audit_entries", "tokens", "checkpoints", "seals")
_KEYS = {
    "audit_entries": (("workflow_id", "number"), ("workflow_id", "key")),
    "tokens": (("token_id",),),
    "checkpoints": (("number",),),
    "seals": (("workflow_id", "number"),),
}
_REFUSED_RUN_CHANGE = (
    "NEW.workflow_id <> OLD.workflow_id OR NEW.chain_id <> OLD.chain_id OR NEW.requester <> OLD.requester "
    "OR NEW.opened_at <> OLD.opened_at OR NEW.entry_count < OLD.entry_count "
    "OR NEW.sealed_count < OLD.sealed_count"
)
_REFUSED_EFFECT_CHANGE = "OLD.state = 'done'"


def upgrade() -> None:
    op.add_column("runs", sa.Column("sealed_count", sa.Integer, nullable=False, server_default="0"))
    unsealed = sa.text("entry_count > sealed_count")
    op.create_index(
        "ix_runs_unsealed", "runs", ["workflow_id"], sqlite_where=unsealed, postgresql_where=unsealed
    )
    op.create_table(
        "checkpoints",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("public_key", sa.String(64), nullable=False),
    )
    op.create_table(
        "seals",
        sa.Column("workflow_id", sa.String(1000), sa.ForeignKey("runs.workflow_id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("checkpoint", sa.Integer, sa.ForeignKey("checkpoints.number"), nullable=False),
    )
    op.create_index("ix_seals_checkpoint", "seals", ["checkpoint"])
    op.create_index("ix_tokens_workflow_id", "tokens", ["workflow_id"])
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def _guard_sqlite() -> None:
    for table in _KEPT:
        _refuse_in_sqlite(table, "UPDATE")
        _refuse_in_sqlite(table, "DELETE")
        for number, key in enumerate(_KEYS[table]):
            # INSERT OR REPLACE would delete the old row without firing the trigger on DELETE.
            same = " AND ".join(f"{column} = NEW.{column}" for column in key)
            exists = f"EXISTS (SELECT 1 FROM {table} WHERE {same})"  # noqa: S608  our own names
            _refuse_in_sqlite(table, "INSERT", exists, f"replace_{number}")
    for table, change in (("runs", _REFUSED_RUN_CHANGE), ("effects", _REFUSED_EFFECT_CHANGE)):
        _refuse_in_sqlite(table, "DELETE")
        _refuse_in_sqlite(table, "UPDATE", change)
    _refuse_in_sqlite(
        "runs", "INSERT", "EXISTS (SELECT 1 FROM runs WHERE workflow_id = NEW.workflow_id)", "replace"
    )
    _refuse_in_sqlite(
        "effects",
        "INSERT",
        "EXISTS (SELECT 1 FROM effects WHERE idempotency_key = NEW.idempotency_key)",
        "replace",
    )


def _refuse_in_sqlite(table: str, act: str, condition: str = "1", name: str = "") -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_{name or act.lower()} BEFORE {act} ON {table} WHEN {condition} "
        f"BEGIN SELECT RAISE(ABORT, '{table}: recorded rows cannot be changed'); END"
    )


def _guard_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION plangate_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '%: recorded rows cannot be changed', TG_TABLE_NAME; END $$"
    )
    for table in _KEPT:
        _refuse_in_postgresql(table, "UPDATE OR DELETE", "ROW")
        _refuse_in_postgresql(table, "TRUNCATE", "STATEMENT")
    for table, change in (("runs", _REFUSED_RUN_CHANGE), ("effects", _REFUSED_EFFECT_CHANGE)):
        _refuse_in_postgresql(table, "DELETE", "ROW")
        _refuse_in_postgresql(table, "TRUNCATE", "STATEMENT")
        _refuse_in_postgresql(table, "UPDATE", "ROW", change)


def _refuse_in_postgresql(table: str, act: str, each: str, condition: str = "true") -> None:
    name = f"{table}_no_{act.replace(' ', '_').lower()}"
    when = f"WHEN ({condition}) " if each == "ROW" else ""
    op.execute(
        f"CREATE TRIGGER {name} BEFORE {act} ON {table} FOR EACH {each} {when}"
        "EXECUTE FUNCTION plangate_refuse()"
    )
