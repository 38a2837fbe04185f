"""The client in an application: without records, and for runs that were ended in Temporal."""

import asyncio
from typing import Any

import pytest

from plangate.client import (
    Choice,
    Client,
    Decision,
    Outcome,
    PlanRequest,
    ProposedPlan,
    Refused,
    RequestInvalid,
    Resolution,
    RunNotFound,
)
from plangate.domain.decisions.accesses import Access, AccessKind
from plangate.domain.decisions.delegations import DelegationAction, DelegationRequest
from plangate.domain.decisions.key_requests import KeyAction, KeyRequest
from plangate.domain.runs.stops import StopAction, StopRequest
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.wait_limit import WAIT_LIMIT
from tests.workflow.test_retention import drop, executed


async def test_a_client_without_records_submits_decides_and_waits(gate: Gate) -> None:
    client = Client(gate.client, gate.settings.task_queue, None)
    run = await client.submit(PlanRequest(requester="rita", plan=notes("one")))
    async with asyncio.timeout(WAIT_LIMIT):
        status = await client.wait_for_plan(run)
        waiting = asyncio.create_task(client.wait(run))
        answer = await client.decide(
            run, Decision(decision=Choice.APPROVE, by="dana", plan=status.fingerprint or "")
        )
        result = await waiting
    assert answer is not None
    assert answer.accepted
    assert (result.outcome, result.approved_by) == (Outcome.EXECUTED, ("dana",))
    client.close()  # closes only what it opened


async def test_waiting_for_a_run_that_temporal_terminated_returns_failed_and_why(gate: Gate) -> None:
    status = await gate.in_review("one")
    waiting = asyncio.create_task(gate.result(status.workflow_id))
    await gate.handle(status.workflow_id).terminate("an operator's mistake")
    result = await waiting
    assert (result.outcome, result.plan, result.approved_by) == (Outcome.FAILED, status.plan, ())
    assert "terminated in Temporal" in result.reason


async def test_waiting_for_a_run_that_temporal_dropped_returns_the_recorded_result(gate: Gate) -> None:
    workflow_id = (await executed(gate, "one", "two")).workflow_id
    before = await gate.result(workflow_id)
    await drop(gate, workflow_id)
    assert await gate.result(workflow_id) == before


async def test_waiting_for_an_unknown_run_ends_immediately(gate: Gate) -> None:
    with pytest.raises(RunNotFound, match="no run called"):
        await gate.result("unknown-plan")


async def test_an_application_edits_the_plan_and_learns_that_nothing_is_held(gate: Gate) -> None:
    status = await gate.in_review("one", "two")
    new_plan = ProposedPlan.model_validate(notes("one"))
    answer = await gate.api.edit(status, new_plan, by="dana", comment="one is enough")
    assert answer is not None
    assert answer.accepted
    edited = await gate.until("in_review", status.workflow_id, lambda one: one.revision == 2)
    assert edited.plan is not None
    assert (edited.author, edited.plan.proposed()) == ("dana", new_plan)
    with pytest.raises(Refused, match="is not held; there is nothing to resolve"):
        await gate.api.resolve(edited, Resolution.RETRY, by="dana")


async def test_an_empty_id_is_quoted(gate: Gate) -> None:
    with pytest.raises(RunNotFound, match=r"^The id '' is not a run of Plangate"):
        await gate.api.status("")


@pytest.mark.parametrize("plan", [notes("x" * 3_000_000), notes("\udc80")], ids=["size", "surrogate"])
async def test_what_the_server_cannot_take_is_refused_and_not_sent(gate: Gate, plan: Any) -> None:
    """Not as an outage, which a program would wait for."""
    with pytest.raises(RequestInvalid, match=r"make it smaller|not valid Unicode"):
        await gate.api.submit(PlanRequest(requester="rita", plan=plan))
    status = await gate.in_review("one")
    with pytest.raises(RequestInvalid, match=r"make it smaller|not valid Unicode"):
        await gate.api.edit(status, ProposedPlan.model_validate(plan), by="dana")
    assert (await gate.decide(status)).accepted


@pytest.mark.parametrize("text", ["\ud800", "x" * 3_000_000], ids=["surrogate", "size"])
async def test_an_id_or_text_that_cannot_be_sent_is_refused_by_every_request(gate: Gate, text: str) -> None:
    run = (await gate.in_review("one")).workflow_id
    approval = Decision(decision=Choice.APPROVE, by="dana", plan="0" * 12)
    stop = StopRequest.model_construct(by="oscar", action=StopAction.STOP, reason=text)
    delegation = DelegationRequest.model_construct(
        by="dana", action=DelegationAction.LEND, to="erin", reason=text
    )
    key = KeyRequest.model_construct(
        by="dana", action=KeyAction.CONFIRM, person="erin", key=text, signature=""
    )
    access = Access.model_construct(by="dana", what=AccessKind.VIEWED, subject=text)
    client = gate.api
    for send in (
        client.submit(PlanRequest(requester="rita", plan=notes("one")), text),
        client.decide(text, approval),
        client.decide(run, approval, update_id=text),
        client.status(text),
        client.wait(text),
        client.wait_for_plan(text),
        client.withdraw(text, "no longer needed"),
        client.withdraw(run, text),
        client.still_open([run, text]),
        client.request_stop(stop),
        client.request_key_change(key),
        client.delegate(delegation),
        client.record_access(access),
        client.checked(text),
    ):
        with pytest.raises(RequestInvalid, match=r"make it smaller|not valid Unicode|visible characters"):
            await send
    with pytest.raises(RunNotFound, match="is not recorded"):
        client.trail(text)


async def test_an_empty_id_is_refused_and_never_waited_for(gate: Gate) -> None:
    with pytest.raises(RequestInvalid, match="1 to 200 visible characters"):
        await gate.api.submit(PlanRequest(requester="rita", plan=notes("one")), "")
    async with asyncio.timeout(WAIT_LIMIT):
        with pytest.raises(RequestInvalid, match="refused the request"):
            await gate.api.wait("")
