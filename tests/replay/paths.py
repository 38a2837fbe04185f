"""The paths that have golden histories, each executed once on a real server."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta

from plangate.domain.errors import NoModel, ToolError, ToolRefused
from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.policy import Policy
from plangate.domain.runs.stops import StopAnswer
from plangate.domain.times.calendars import Calendar
from plangate.domain.times.working_time import WorkingTime
from plangate.presentation.clock import now
from plangate.temporal.contract import DELEGATION_TYPE, LOOK_TYPE, STATUS, STOP_TYPE
from tests.support.account_tool import bookings
from tests.support.bank_tool import Bank, transfers
from tests.support.clock import until_passed
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.holds import account, in_review, lost, refused, resolve
from tests.support.orders import stop
from tests.support.policies import one_approval, wants
from tests.support.sealed_records import FixedPeople
from tests.support.wait_limit import WAIT_LIMIT
from tests.workflow.test_planners_in_runs import planned_by, sent_back
from tests.workflow.test_stale_approvals import VALID, stale_behind_step_one
from tests.workflow.test_unrecorded_decisions import records_unavailable, waiting

EVERY_DAY = Calendar(name="every-day", zone="Europe/Berlin", weekdays=tuple(range(7)))
NEW_YEAR = Calendar(name="new-year", zone="Europe/Berlin", weekdays=(), extra_days=(date(2027, 1, 1),))

Path = Callable[[Gate], Awaitable[str]]


async def approved_by_signal(gate: Gate) -> str:
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    return await _ended(gate, status.workflow_id)


async def approved_by_update(gate: Gate) -> str:
    status = await gate.in_review("one")
    await gate.decide(status)
    return await _ended(gate, status.workflow_id)


async def drafted_from_reads(gate: Gate) -> str:
    first = await gate.in_review(request="one")
    second = await sent_back(gate, first)
    await gate.decide(second)
    return await _ended(gate, second.workflow_id)


async def rejected(gate: Gate) -> str:
    status = await gate.in_review("one")
    await gate.signal(status, "reject", comment="no")
    return await _ended(gate, status.workflow_id)


async def changed_then_approved(gate: Gate) -> str:
    first = await gate.in_review(request="one")
    await gate.signal(first, "request_changes", comment="two")
    second = await gate.until("in_review", first.workflow_id, lambda one: one.revision == 2)
    await gate.decide(second)
    return await _ended(gate, first.workflow_id)


async def expired(gate: Gate) -> str:
    status = await gate.in_review("one", timeout=timedelta(seconds=1))
    return await _ended(gate, status.workflow_id)


async def reopened_then_approved(gate: Gate) -> str:
    again = await stale_behind_step_one(gate)
    await gate.signal(again)
    return await _ended(gate, again.workflow_id)


async def taken_back_while_cooling_off(gate: Gate) -> str:
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    await gate.until("executing", status.workflow_id)
    await gate.decide(status, "withdraw_approval")
    await gate.decide(await gate.until("in_review", status.workflow_id), by="erik")
    return await _ended(gate, status.workflow_id)


async def withdrawn_while_cooling_off(gate: Gate) -> str:
    status = await gate.in_review("one")
    await gate.signal(status)
    await gate.until("executing", status.workflow_id)
    await gate.api.withdraw(status.workflow_id, "by rita")
    return await _ended(gate, status.workflow_id)


async def waited_for_its_moment(gate: Gate) -> str:
    """Wait for the plan's earliest start and for a window; nothing else happens meanwhile."""
    plan = {**notes("one", "two"), "not_before": (now() + timedelta(seconds=2)).isoformat()}
    status = await gate.in_review(plan=plan)
    await gate.signal(status)
    return await _ended(gate, status.workflow_id)


async def waited_without_approval(gate: Gate) -> str:
    plan = {**notes("one", "two"), "not_before": (now() + timedelta(seconds=2)).isoformat()}
    return await _ended(gate, await gate.submit(plan=plan))


async def taken_back_while_it_waited(gate: Gate) -> str:
    plan = {**notes("one"), "not_before": (now() + timedelta(hours=1)).isoformat()}
    status = await gate.in_review(plan=plan)
    await gate.signal(status)
    await gate.until("executing", status.workflow_id)
    await gate.decide(status, "withdraw_approval")
    await gate.decide(await gate.until("in_review", status.workflow_id), "reject", by="erik", comment="no")
    return await _ended(gate, status.workflow_id)


async def rejected_while_a_stop_held_its_step(gate: Gate) -> str:
    status = await gate.in_review("one")
    await stop(gate)
    await gate.signal(status)
    await gate.until("executing", status.workflow_id, lambda one: any(step.is_stopped for step in one.steps))
    await gate.signal(status, "withdraw_approval")
    await gate.until("in_review", status.workflow_id)
    await gate.signal(status, "reject", comment="no")
    return await _ended(gate, status.workflow_id)


async def withdrawn_in_review(gate: Gate) -> str:
    status = await gate.in_review("one")
    await gate.api.withdraw(status.workflow_id, "by rita")
    return await _ended(gate, status.workflow_id)


async def withdrawn_while_drafting(gate: Gate) -> str:
    gate.planner.gate.clear()
    workflow_id = await gate.submit(request="one")
    async with asyncio.timeout(WAIT_LIMIT):
        while not gate.planner.briefs:
            await asyncio.sleep(0.02)
    await gate.api.withdraw(workflow_id, "by rita")
    gate.planner.gate.set()
    return await _ended(gate, workflow_id)


async def withdrawn_while_executing(gate: Gate) -> str:
    gate.notebook.gate.clear()
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    await gate.notebook.entered.wait()
    await gate.api.withdraw(status.workflow_id, "by rita")
    await asyncio.sleep(0.3)
    gate.notebook.gate.set()
    return await _ended(gate, status.workflow_id)


async def failed_without_a_model(gate: Gate) -> str:
    gate.planner.failures = [NoModel("No model is set.")]
    return await _ended(gate, await gate.submit(request="one"))


async def held_then_retried(gate: Gate) -> str:
    workflow_id = await _stopped(gate, refused())
    await resolve(gate, workflow_id, "retry", via="signal")
    return await _ended(gate, workflow_id)


async def held_in_doubt_then_retried(gate: Gate) -> str:
    workflow_id = await _stopped(gate, lost())
    await resolve(gate, workflow_id, "retry")
    return await _ended(gate, workflow_id)


async def held_then_skipped(gate: Gate) -> str:
    workflow_id = await _stopped(gate, refused())
    await resolve(gate, workflow_id, "skip", via="signal")
    return await _ended(gate, workflow_id)


async def held_then_marked_as_done(gate: Gate) -> str:
    workflow_id = await _stopped(gate, lost(), "3")
    await resolve(gate, workflow_id, "mark_done")
    return await _ended(gate, workflow_id)


async def held_then_undone(gate: Gate) -> str:
    workflow_id = await _stopped(gate, refused(), "3")
    await resolve(gate, workflow_id, "undo", via="signal")
    return await _ended(gate, workflow_id)


async def held_then_aborted(gate: Gate) -> str:
    workflow_id = await _stopped(gate, lost())
    await resolve(gate, workflow_id, "abort")
    return await _ended(gate, workflow_id)


async def held_until_the_deadline(gate: Gate) -> str:
    return await _ended(gate, await _stopped(gate, refused()))


async def held_then_withdrawn(gate: Gate) -> str:
    workflow_id = await _stopped(gate, refused())
    await gate.held(workflow_id)
    await gate.api.withdraw(workflow_id, "by rita")
    return await _ended(gate, workflow_id)


async def held_then_reopened(gate: Gate) -> str:
    workflow_id = await _stopped(gate, refused())
    await gate.held(workflow_id)
    await asyncio.sleep(1)
    await resolve(gate, workflow_id, "retry")
    await gate.decide(await gate.until("in_review", workflow_id), by="erik")
    return await _ended(gate, workflow_id)


async def held_twice_then_skipped(gate: Gate) -> str:
    workflow_id = await _stopped(gate, refused())
    await gate.held(workflow_id)
    account(gate).fails_at["2"] = lost()
    await resolve(gate, workflow_id, "retry")
    await gate.until("held", workflow_id, lambda now: now.held is not None and now.held.number == 2)
    await gate.resolve(workflow_id, "skip", hold=1)
    await resolve(gate, workflow_id, "skip")
    return await _ended(gate, workflow_id)


async def undo_held_then_retried(gate: Gate) -> str:
    workflow_id = await _stopped(gate, refused(), "3")
    account(gate).undo_failures = [refused()]
    await resolve(gate, workflow_id, "undo")
    await gate.until("held", workflow_id, lambda now: now.held is not None and now.held.undo)
    await resolve(gate, workflow_id, "retry", via="signal")
    return await _ended(gate, workflow_id)


async def held_by_a_precondition(gate: Gate) -> str:
    account(gate).balance = 1
    status = await in_review(gate, "1")
    account(gate).balance = 2
    await gate.signal(status)
    await resolve(gate, status.workflow_id, "skip")
    return await _ended(gate, status.workflow_id)


async def executed_with_a_reference(gate: Gate) -> str:
    status = await in_review(gate, "1", "2", follows={"from_step": 1, "field": "number"})
    await gate.signal(status)
    return await _ended(gate, status.workflow_id)


async def edited_then_approved(gate: Gate) -> str:
    first = await in_review(gate, "1", "2")
    await gate.signal(first, "edit", by="erik", new_plan=bookings("1", "other"))
    second = await gate.until("in_review", first.workflow_id, lambda one: one.revision == 2)
    await gate.decide(second)
    return await _ended(gate, first.workflow_id)


async def edit_not_drafted_then_approved(gate: Gate) -> str:
    account(gate).balance = 1
    first = await in_review(gate, "1")
    account(gate).observe_failures = [ToolRefused("There is no such account.")]
    await gate.signal(first, "edit", by="erik", new_plan=bookings("2"))
    await gate.decide(await gate.until("in_review", first.workflow_id, lambda now: bool(now.edit_failed)))
    return await _ended(gate, first.workflow_id)


async def struck_then_approved(gate: Gate) -> str:
    first = await in_review(gate, "1", "2")
    struck = {**bookings("1"), "summary": bookings("1", "2")["summary"]}
    await gate.decide(first, "edit", new_plan=struck)
    second = await gate.until("in_review", first.workflow_id, lambda one: one.revision == 2)
    await gate.signal(second)
    return await _ended(gate, first.workflow_id)


async def escalated_then_approved(gate: Gate) -> str:
    status = await gate.in_review("one")
    early = await gate.decide(status, by="erik")
    assert not early.accepted
    await until_passed(status.reliefs[0].at)
    await gate.signal(status, by="erik")
    return await _ended(gate, status.workflow_id)


async def approved_in_working_time(gate: Gate) -> str:
    status = await gate.in_review("one")
    await gate.decide(status)
    return await _ended(gate, status.workflow_id)


async def junk_then_approved(gate: Gate) -> str:
    status = await gate.in_review("one")
    handle = gate.handle(status.workflow_id)
    await handle.signal("approve")
    await handle.signal("approve", args=[1, 2])
    await handle.signal("approve", "yes")
    await handle.signal("aprove", {"by": "dana"})
    await gate.signal(status, by="rita")
    await gate.decide(status, by="rita")
    await gate.signal(status)
    return await _ended(gate, status.workflow_id)


async def waited_for_the_records(gate: Gate) -> str:
    status = await gate.in_review("one")
    with records_unavailable(gate):
        await gate.signal(status)
        await waiting(gate, status)
        answer = await gate.decide(status, by="erik")
        assert answer.accepted is None
    return await _ended(gate, status.workflow_id)


async def accepted_then_looked_up(gate: Gate) -> str:
    return await _ended(gate, await _paid(gate))


async def look_up_that_goes_on(gate: Gate) -> str:
    settlement = f"{await _ended(gate, await _paid(gate))}:settlement"
    while (await gate.handle(settlement).query("status"))["still_open"] != [2]:
        await asyncio.sleep(0.02)
    return settlement


async def _paid(gate: Gate) -> str:
    """Approve a run with two transfers; the bank settles one of them."""
    bank = gate.tools["transfer"]
    assert isinstance(bank, Bank)
    bank.ends("ann", "settled", "credited")
    status = await gate.until("in_review", await gate.submit(plan=transfers("ann", "bob")))
    await gate.signal(status)
    return status.workflow_id


async def stop_order(gate: Gate) -> str:
    return await _ended(gate, await _ordered(gate))


async def stop_order_that_waited_for_the_records(gate: Gate) -> str:
    with records_unavailable(gate):
        workflow_id = await _ordered(gate)
        not_yet = StopAnswer(reason="it is being processed")
        answer = not_yet
        async with asyncio.timeout(WAIT_LIMIT):
            while answer == not_yet:
                await asyncio.sleep(0.2)
                answer = await gate.handle(workflow_id).query(STATUS, result_type=StopAnswer)
    return await _ended(gate, workflow_id)


async def _ordered(gate: Gate) -> str:
    message = {"action": "stop", "by": "dana", "reason": "wrong amounts"}
    order = await gate.client.start_workflow(
        STOP_TYPE, message, id=f"stop-{gate.settings.task_queue}", task_queue=gate.settings.task_queue
    )
    return order.id


async def delegation_order(gate: Gate) -> str:
    queue = gate.settings.task_queue
    order = {
        "action": "lend",
        "by": "dana",
        "to": "erik",
        "roles": ["finance"],
        "until": "2026-12-24T00:00:00Z",
    }
    handle = await gate.client.start_workflow(DELEGATION_TYPE, order, id=f"lend-{queue}", task_queue=queue)
    return await _ended(gate, handle.id)


async def absence_order(gate: Gate) -> str:
    queue = gate.settings.task_queue
    order = {"action": "away", "by": "dana", "until": "2027-01-10T00:00:00Z"}
    handle = await gate.client.start_workflow(DELEGATION_TYPE, order, id=f"lend-{queue}", task_queue=queue)
    return await _ended(gate, handle.id)


async def look_recorded(gate: Gate) -> str:
    look = {"what": "exported", "by": "ada", "subject": "plan-1"}
    queue = gate.settings.task_queue
    handle = await gate.client.start_workflow(LOOK_TYPE, look, id=f"look-{queue}", task_queue=queue)
    return await _ended(gate, handle.id)


async def started_with_nonsense(gate: Gate) -> str:
    handle = await gate.client.start_workflow(
        "PlanApproval", args=[1, 2], id="nonsense", task_queue=gate.settings.task_queue
    )
    return await _ended(gate, handle.id)


async def _stopped(gate: Gate, failure: ToolError, at: str = "2") -> str:
    """Approve a run with three steps, one of which raises this error."""
    account(gate).fails_at[at] = failure
    status = await in_review(gate, "1", "2", "3")
    await gate.signal(status)
    return status.workflow_id


async def _ended(gate: Gate, workflow_id: str) -> str:
    await gate.handle(workflow_id).result()
    return workflow_id


PATHS: tuple[Path, ...] = (
    approved_by_signal,
    approved_by_update,
    rejected,
    changed_then_approved,
    drafted_from_reads,
    expired,
    reopened_then_approved,
    taken_back_while_cooling_off,
    withdrawn_while_cooling_off,
    waited_for_its_moment,
    waited_without_approval,
    taken_back_while_it_waited,
    rejected_while_a_stop_held_its_step,
    withdrawn_in_review,
    withdrawn_while_drafting,
    withdrawn_while_executing,
    failed_without_a_model,
    held_then_retried,
    held_in_doubt_then_retried,
    held_then_skipped,
    held_then_marked_as_done,
    held_then_undone,
    held_then_aborted,
    held_until_the_deadline,
    held_then_withdrawn,
    held_then_reopened,
    held_twice_then_skipped,
    undo_held_then_retried,
    held_by_a_precondition,
    executed_with_a_reference,
    edited_then_approved,
    edit_not_drafted_then_approved,
    struck_then_approved,
    escalated_then_approved,
    approved_in_working_time,
    junk_then_approved,
    waited_for_the_records,
    stop_order,
    stop_order_that_waited_for_the_records,
    delegation_order,
    absence_order,
    look_recorded,
    started_with_nonsense,
    accepted_then_looked_up,
    look_up_that_goes_on,
)

_OFFICE = Calendar(name="office", zone="Europe/Berlin", country="DE", region="BY")
POLICIES: Mapping[Path, Policy] = {
    reopened_then_approved: one_approval(valid_for=VALID),
    held_then_reopened: one_approval(valid_for=timedelta(seconds=1)),
    held_until_the_deadline: wants(("anyone", 1), hold_seconds=1),
    taken_back_while_cooling_off: wants(("anyone", 1), cooling_seconds=2),
    waited_for_its_moment: wants(("anyone", 1), windows=(EVERY_DAY,), freezes=(NEW_YEAR,)),
    waited_without_approval: wants(windows=(EVERY_DAY,), freezes=(NEW_YEAR,)),
    withdrawn_while_cooling_off: wants(("anyone", 1), cooling_seconds=60),
    struck_then_approved: wants(("anyone", 1), strike_keeps_approver=True),
    escalated_then_approved: wants(
        ("finance", 1), escalations=(Escalation(role="finance", after_seconds=2, to="ops"),)
    ),
    approved_in_working_time: wants(("anyone", 1), working=(WorkingTime(days=2, calendar=_OFFICE),)),
}
"""The policies of workers, by path; most paths need none."""


def _listed(gate: Gate) -> None:
    gate.directory = FixedPeople()


PREPARED: Mapping[Path, Callable[[Gate], object]] = {
    drafted_from_reads: planned_by,
    escalated_then_approved: _listed,
}
"""Prepares a gate for a path before its worker starts."""
