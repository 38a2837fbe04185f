"""The database itself refuses accidental changes of written rows."""

import pytest
from sqlalchemy import text

from plangate.domain.errors import RecordsUnavailable
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.checkpoint import Checkpoint
from plangate.records.attachments import keep
from plangate.records.checkpoints import seal_changed_runs
from plangate.records.database import Database
from plangate.records.ledger import EffectState
from plangate.records.rule_texts import record_rules
from tests.support.record_writer import claim, effect, end, note, run_ref, trail, write_down

REFUSAL = "recorded rows cannot be changed"


@pytest.fixture(autouse=True)
def recorded_rows(database: Database) -> None:
    """A run with two entries, a done effect, a used token, and a checkpoint that seals it."""
    write_down(database, run_ref(), note("one"))
    record_rules(database, "people", "[[person]]", "ab" * 32, "worker@here")
    claim(database, "holder")
    end(database, "holder", EffectState.DONE, Receipt(summary="done"))
    with database.write() as connection:
        keep(connection, b"a file")
        connection.execute(text("INSERT INTO tokens VALUES ('token', 'plan-1', 'one')"))
        seal_changed_runs(connection, lambda *_: Checkpoint(number=1, token="t", public_key="k"))


def refused(database: Database, statement: str) -> None:
    with pytest.raises(RecordsUnavailable, match=REFUSAL), database.write() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "change",
    [
        "audit_entries SET actor = 'mallory'",
        "audit_entries SET number = 7 WHERE number = 2",
        "tokens SET arrival_key = 'other'",
        "checkpoints SET token = 'other'",
        "seals SET number = 1",
        "runs SET requester = 'mallory'",
        "runs SET chain_id = 'other'",
        "runs SET entry_count = 1",
        "runs SET sealed_count = 0",
        "effects SET state = 'released'",
        "effects SET receipt = NULL",
        "rule_texts SET text = 'other'",
        "attachments SET content = 'other'",
        "installation SET id = 'other'",
    ],
)
def test_written_rows_cannot_be_changed(database: Database, change: str) -> None:
    refused(database, f"UPDATE {change}")


@pytest.mark.parametrize(
    "table",
    [
        "audit_entries",
        "tokens",
        "seals",
        "checkpoints",
        "effects",
        "runs",
        "rule_texts",
        "attachments",
        "installation",
    ],
)
def test_written_rows_cannot_be_deleted(database: Database, table: str) -> None:
    refused(database, f"DELETE FROM {table}")
    if not database.is_sqlite:
        refused(database, f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize(
    "row",
    [
        "audit_entries SELECT workflow_id, number, key, at, 'x', kind, event, hash, hash FROM audit_entries",
        "audit_entries SELECT workflow_id, 99, key, at, 'x', kind, event, hash, hash FROM audit_entries",
        "tokens SELECT token_id, workflow_id, 'other' FROM tokens",
        "checkpoints SELECT number, 'other', public_key FROM checkpoints",
        "seals SELECT workflow_id, number, 'other', checkpoint FROM seals",
        "runs SELECT workflow_id, 'x', requester, opened_at, NULL, 0, head_hash, 0, NULL, NULL, 0 FROM runs",
        "rule_texts SELECT hash, 'other' FROM rule_texts",
        "attachments SELECT sha256, 'other' FROM attachments",
        "installation SELECT id FROM installation",
        "effects SELECT idempotency_key, workflow_id, 'other', step, state, holder, 1, NULL FROM effects",
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL has no such statement
def test_sqlite_inserts_replace_nothing(database: Database, row: str) -> None:
    refused(database, f"INSERT OR REPLACE INTO {row}")


def test_an_installation_has_only_one_id(database: Database) -> None:
    refused(database, "INSERT INTO installation VALUES ('another')")


def test_permitted_changes_are_allowed(database: Database) -> None:
    write_down(database, run_ref(), note("two"))
    assert [entry.key for entry in trail(database)] == ["requested", "one", "two"]
    found = effect(database)
    assert found is not None
    assert found.state is EffectState.DONE
