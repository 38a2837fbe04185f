"""A decision that cannot be recorded yet waits outside the workflow task, and blocks nothing else."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from temporalio import workflow

from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.errors import DirectoryUnavailable, RecordsUnavailable
from plangate.domain.people.people import People
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.status import Status
from tests.support.gate import Gate
from tests.support.transactions import refuse_transactions
from tests.support.wait_limit import WAIT_LIMIT

UNREADABLE = "Decisions wait until the list of people can be read: people.toml cannot be used (1 error): x."


@dataclass
class Breakable:
    """A list of people that can be broken and repaired; it allows everyone to decide."""

    is_broken: bool = False

    def people(self) -> People | None:
        if self.is_broken:
            raise DirectoryUnavailable(UNREADABLE)
        return None


@contextmanager
def records_unavailable(gate: Gate) -> Iterator[None]:
    """Make the records unavailable while the block runs."""

    def refuse(**_: Any) -> Any:
        raise RecordsUnavailable("The records are unavailable.")

    write = gate.database.write
    gate.database.write = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        gate.database.write = write  # type: ignore[method-assign]


async def waiting(gate: Gate, status: Status, condition: Callable[[Status], bool] = bool) -> Status:
    """Return the status once a decision on the run, or its end, cannot be recorded."""
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            now = await gate.api.status(status.workflow_id)
            if now.unrecorded is not None and condition(now):
                return now
            await asyncio.sleep(0.05)


async def events(gate: Gate, status: Status) -> int:
    return (await gate.handle(status.workflow_id).describe()).history_length


def kinds(gate: Gate, status: Status) -> list[str]:
    return [entry.event.kind for entry in gate.api.trail(status.workflow_id)]


async def test_an_update_is_answered_with_the_problem_and_checked_once_it_is_solved(
    idle_gate: Gate,
) -> None:
    gate, people = idle_gate, Breakable()
    gate.directory = people
    async with gate.worker():
        status = await gate.in_review("one")
        people.is_broken = True
        answer = await gate.decide(status)
        assert (answer.accepted, answer.state) == (None, "in_review")
        assert answer.reason == (
            "your decision was received, and will be checked as soon as this problem is solved: "
            f"{UNREADABLE} You need not send it again"
        )
        shown = await waiting(gate, status)
        assert shown.unrecorded is not None
        assert (shown.unrecorded.decisions, shown.unrecorded.outcome) == (1, False)
        assert [(one.by, one.decision) for one in shown.unrecorded.oldest] == [("dana", "approve")]
        assert shown.unrecorded.cause == UNREADABLE
        people.is_broken = False
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert (await gate.api.status(status.workflow_id)).unrecorded is None


async def test_waiting_adds_no_history_events(gate: Gate) -> None:
    status = await gate.in_review("one")
    with records_unavailable(gate):
        await gate.signal(status)
        await waiting(gate, status)
        before = await events(gate, status)
        await asyncio.sleep(4)  # about three attempts
        assert await events(gate, status) == before
        assert before < 40
    assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_a_deadline_ends_the_run_immediately_and_it_closes_once_recorded(gate: Gate) -> None:
    status = await gate.in_review("one", timeout=timedelta(seconds=4))
    with records_unavailable(gate):
        await gate.signal(status)
        expired = await waiting(gate, status, lambda now: now.state == "expired")
        assert expired.unrecorded is not None
        assert expired.unrecorded.outcome
        assert kinds(gate, status) == ["requested", "drafted"]
    result = await gate.result(status.workflow_id)
    assert (result.outcome, gate.notebook.texts()) == ("expired", [])
    assert result.reason.startswith("no decision could be recorded before the deadline")
    assert kinds(gate, status) == ["requested", "drafted", "closed", "decided"]
    last = gate.api.trail(status.workflow_id)[-1].event
    assert isinstance(last, Decided)
    assert "the run has ended (expired)" in last.verdict.reason


async def test_a_withdrawal_ends_the_run_immediately_despite_waiting_decisions(gate: Gate) -> None:
    status = await gate.in_review("one")
    with records_unavailable(gate):
        await gate.signal(status)
        await waiting(gate, status)
        await gate.api.withdraw(status.workflow_id, "not now")
        shown = await waiting(gate, status, lambda now: now.state == "withdrawn")
        assert (shown.reason, shown.unrecorded and shown.unrecorded.outcome) == ("not now", True)
    result = await gate.result(status.workflow_id)
    assert (result.outcome, gate.notebook.texts()) == ("withdrawn", [])


async def test_an_update_after_an_unrecorded_end_is_answered(gate: Gate) -> None:
    """The decision can only be recorded after the end, but its sender gets a response immediately."""
    status = await gate.in_review("one")
    with records_unavailable(gate):
        await gate.api.withdraw(status.workflow_id, "not now")
        await waiting(gate, status, lambda now: now.state == "withdrawn")
        async with asyncio.timeout(WAIT_LIMIT):
            answer = await gate.decide(status)
        assert (answer.accepted, answer.state) == (None, "withdrawn")
        assert "The records are unavailable. You need not send it again" in answer.reason
    assert (await gate.result(status.workflow_id)).outcome == "withdrawn"
    assert kinds(gate, status) == ["requested", "drafted", "closed", "decided"]


async def test_a_withdrawal_is_recorded_even_if_no_decision_can_be_checked(idle_gate: Gate) -> None:
    gate, people = idle_gate, Breakable()
    gate.directory = people
    async with gate.worker():
        status = await gate.in_review("one")
        people.is_broken = True
        await gate.decide(status)
        await gate.api.withdraw(status.workflow_id, "not now")
        await waiting(gate, status, lambda now: now.state == "withdrawn")
        async with asyncio.timeout(WAIT_LIMIT):
            while kinds(gate, status) != ["requested", "drafted", "closed"]:
                await asyncio.sleep(0.05)
        people.is_broken = False
        assert (await gate.result(status.workflow_id)).outcome == "withdrawn"
    assert kinds(gate, status)[-1] == "decided"


async def test_a_decision_that_arrives_after_an_unrecorded_end_is_recorded_after_it(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = await gate.in_review("one")
    with monkeypatch.context() as patch:
        refuse_transactions(patch, "close_run", RecordsUnavailable("Only this cannot be written."))
        await gate.api.withdraw(status.workflow_id, "not now")
        await waiting(gate, status, lambda now: now.state == "withdrawn")
        await gate.signal(status)
        await asyncio.sleep(0.5)
        assert kinds(gate, status) == ["requested", "drafted"]
    assert (await gate.result(status.workflow_id)).outcome == "withdrawn"
    assert kinds(gate, status) == ["requested", "drafted", "closed", "decided"]


@pytest.fixture
def long_history(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Treat the history of a chain's first run as long once the event is set."""
    is_long = asyncio.Event()
    monkeypatch.setattr(
        workflow.Info,
        "is_continue_as_new_suggested",
        lambda info: is_long.is_set() and info.continued_run_id is None,
    )
    return is_long


async def chain(gate: Gate, status: Status) -> int:
    """Count the runs of the chain, waiting until the newest is not the first."""
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            info = await gate.handle(status.workflow_id).describe()
            if info.raw_info.first_run_id != info.run_id:
                return 2
            await asyncio.sleep(0.05)


async def test_an_unchecked_decision_is_carried_into_the_next_run(
    gate: Gate, long_history: asyncio.Event
) -> None:
    status = await gate.in_review("one")
    with records_unavailable(gate):
        await gate.signal(status, by="rita")
        await gate.signal(status, by="dana")
        await waiting(gate, status, lambda now: now.unrecorded is not None and now.unrecorded.decisions == 2)
        long_history.set()
        await gate.signal(status, by="erik")  # in its workflow task, the run checks its length
        assert await chain(gate, status) == 2
        shown = await waiting(gate, status)
        assert shown.unrecorded is not None
        assert (shown.unrecorded.decisions, shown.unrecorded.cause) == (3, "The records are unavailable.")
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    decided = [entry.event for entry in gate.api.trail(status.workflow_id)]
    verdicts = [event.verdict.accepted for event in decided if isinstance(event, Decided)]
    assert verdicts == [False, True, False]


async def test_an_unrecorded_end_is_carried_into_the_next_run(
    gate: Gate, long_history: asyncio.Event
) -> None:
    status = await gate.in_review("one")
    with records_unavailable(gate):
        await gate.signal(status)
        await gate.api.withdraw(status.workflow_id, "not now")
        await waiting(gate, status, lambda now: now.unrecorded is not None and now.unrecorded.outcome)
        long_history.set()
        await gate.signal(status, by="erik")
        assert await chain(gate, status) == 2
        await waiting(gate, status, lambda now: now.state == "withdrawn")
    assert (await gate.result(status.workflow_id)).outcome == "withdrawn"
    assert kinds(gate, status) == ["requested", "drafted", "closed", "decided", "decided"]


@pytest.mark.parametrize("what", ["signal", "update", "withdrawal"])
async def test_a_message_just_before_continue_as_new_is_not_lost(
    idle_gate: Gate, long_history: asyncio.Event, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The pause before its second check ends while no worker is running, and a message has arrived."""
    gate = idle_gate
    monkeypatch.setattr("workflows.options.SHORTEST", timedelta(seconds=2))
    async with gate.worker():
        status = await gate.in_review("one")
        long_history.set()
        await gate.signal(status, by="rita")
        await gate.until("in_review", status.workflow_id, lambda now: len(now.decisions) == 1)
        await asyncio.sleep(0.3)
    approval = Decision(decision=Choice.APPROVE, by="dana", plan=status.fingerprint or "").model_dump(
        mode="json", exclude_none=True
    )
    sending = asyncio.ensure_future(_send(gate, status, what, approval))
    await asyncio.sleep(2.2)
    async with gate.worker():
        answer = await sending
        result = await gate.result(status.workflow_id)
    if what == "update":
        assert answer["accepted"] is True
    assert result.outcome == ("withdrawn" if what == "withdrawal" else "executed")


async def _send(gate: Gate, status: Status, what: str, approval: dict[str, Any]) -> Any:
    handle = gate.handle(status.workflow_id)
    if what == "update":
        return await handle.execute_update("decide", approval)
    if what == "signal":
        return await handle.signal(approval.pop("decision"), approval)
    return await handle.cancel(reason="not now")
