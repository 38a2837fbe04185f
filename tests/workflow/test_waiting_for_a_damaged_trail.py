"""While a run's trail cannot be read, decisions wait; after the repair, all are processed."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text

from plangate.domain.errors import NotApproved, PlangateError, RecordsMissing, TrailDamaged
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.status import Status
from plangate.records.trail import read_trail
from tests.support.audit_edits import disable_guards
from tests.support.gate import Gate
from tests.support.transactions import refuse_transactions
from tests.workflow.test_unrecorded_decisions import events, kinds, waiting

EVENT = ("audit_entries", "event", "{}", " AND number = 2")
TIME = ("audit_entries", "at", "no time", " AND number = 2")
CHAIN = ("runs", "chain_id", "of another run", "")


@contextmanager
def damaged(gate: Gate, status: Status, what: tuple[str, str, str, str] = EVENT) -> Iterator[None]:
    """Change one field of the run's records while the block runs."""
    table, column, damage, which = what
    run = {"run": status.workflow_id}
    where = f"WHERE workflow_id = :run{which}"
    with gate.database.write() as connection:
        disable_guards(connection)
        kept = connection.execute(text(f"SELECT {column} FROM {table} {where}"), run).scalar_one()
        connection.execute(text(f"UPDATE {table} SET {column} = :value {where}"), {**run, "value": damage})
    try:
        yield
    finally:
        with gate.database.write() as connection:
            connection.execute(text(f"UPDATE {table} SET {column} = :value {where}"), {**run, "value": kept})


@pytest.mark.parametrize("what", [EVENT, TIME, CHAIN], ids=lambda what: what[1])
async def test_decisions_are_checked_and_recorded_once_it_is_repaired(
    gate: Gate, what: tuple[str, str, str, str]
) -> None:
    status = await gate.in_review("one", "two")
    with damaged(gate, status, what):
        await gate.signal(status, "withdraw_approval", by="dana")
        answer = await gate.decide(status, "reject", by="erik", comment="fraud!")
        assert (answer.accepted, answer.state) == (None, "in_review")
        assert "was changed" in answer.reason
        shown = await waiting(gate, status)
        assert shown.unrecorded is not None
        assert (shown.unrecorded.decisions, shown.decisions) == (2, ())
        assert "was changed" in shown.unrecorded.cause
        before = await events(gate, status)
        await asyncio.sleep(3 if what == EVENT else 0)  # enough for about two checks of the trail
        assert await events(gate, status) == before
        assert before < 50
    assert (await gate.result(status.workflow_id)).reason == "rejected by erik: fraud!"
    decided = [entry.event for entry in gate.api.trail(status.workflow_id)]
    verdicts = [event.verdict.accepted for event in decided if isinstance(event, Decided)]
    assert verdicts == [False, True]
    assert gate.notebook.texts() == []
    assert await events(gate, status) < before + 30


@pytest.mark.parametrize("by", ["deadline", "withdrawal"])
async def test_the_end_of_a_run_waits_until_it_is_repaired(gate: Gate, by: str) -> None:
    status = await gate.in_review("one", timeout=timedelta(seconds=2 if by == "deadline" else 60))
    ends_as = "expired" if by == "deadline" else "withdrawn"
    with damaged(gate, status):
        if by == "withdrawal":
            await gate.api.withdraw(status.workflow_id, "not now")
        shown = await waiting(gate, status, lambda now: now.state == ends_as)
        assert shown.unrecorded is not None
        assert shown.unrecorded.outcome
    assert (await gate.result(status.workflow_id)).outcome == ends_as
    assert kinds(gate, status) == ["requested", "drafted", "closed"]


@pytest.mark.parametrize("error", [TrailDamaged, RecordsMissing, NotApproved])
@pytest.mark.parametrize("writer", ["admit_decisions", "close_run"])
async def test_no_repairable_failure_is_final(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, writer: str, error: type[PlangateError]
) -> None:
    status = await gate.in_review("one")
    with monkeypatch.context() as patch:
        refuse_transactions(patch, writer, error("This must be repaired by hand."))
        if writer == "admit_decisions":
            await gate.decide(status, "reject", by="erik", comment="fraud!")
        else:
            await gate.api.withdraw(status.workflow_id, "not now")
        shown = await waiting(gate, status)
        assert shown.unrecorded is not None
        assert shown.unrecorded.cause == "This must be repaired by hand."
        assert kinds(gate, status) == ["requested", "drafted"]
    ended = await gate.result(status.workflow_id)
    assert ended.outcome == ("rejected" if writer == "admit_decisions" else "withdrawn")
    assert kinds(gate, status)[-1] == "closed"


async def test_an_error_about_a_trail_does_not_keep_an_old_snapshot_in_use(gate: Gate) -> None:
    status = await gate.in_review("one")
    for _ in range(3):
        await gate.decide(status, by="rita")
    with damaged(gate, status), gate.database.read() as connection, pytest.raises(TrailDamaged) as kept:
        read_trail(connection, status.workflow_id)
    with closing(sqlite3.connect(gate.settings.var_dir / "records.db")) as another:
        (is_in_use, *_) = another.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not is_in_use
    assert kept.value.__traceback__ is not None
