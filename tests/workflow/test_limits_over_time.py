"""Rolling totals: many small plans together cannot exceed a limit that one large plan could not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from plangate.audit.rules import rule_violations
from plangate.domain.errors import RecordsUnavailable
from plangate.domain.runs.status import Status
from plangate.policy.policy_file import checked_policy
from plangate.presentation.clock import now
from tests.support.gate import Gate
from tests.support.refund_tool import Refunds, refunds
from tests.support.transactions import refuse_transactions
from tests.support.wait_limit import WAIT_LIMIT
from tests.workflow.test_audit_no_false_positives import findings

POLICY = """
[[rule]]
name = "small refunds"
when = "step.tool == 'refund'"
needs = []

[[rule]]
name = "much in a day"
when = "recent('refund', 'amount', '24h') > 500"
needs = [{ role = "anyone" }]
"""

CALENDARS = """
[[calendar]]
name = "later"
zone = "UTC"
weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
hours = ["HOURS"]

[[calendar]]
name = "never"
zone = "UTC"
weekdays = ["sun"]
hours = ["00:00-00:01"]

[[calendar]]
name = "on mondays"
zone = "UTC"
weekdays = ["mon"]
hours = ["00:00-00:01"]
"""


def kinds(gate: Gate, workflow_id: str) -> list[str]:
    return [entry.event.kind for entry in gate.api.trail(workflow_id)]


def limited(gate: Gate, policy: str = POLICY) -> Refunds:
    tool = Refunds(gate.settings.var_dir / "refunds.tsv")
    gate.tools = {"refund": tool}
    gate.policy = checked_policy(policy, {"refund": tool.declaration}, None)
    return tool


@pytest_asyncio.fixture(loop_scope="session")
async def tool(idle_gate: Gate) -> AsyncIterator[Refunds]:
    tool = limited(idle_gate)
    async with idle_gate.worker():
        yield tool


async def wait_until_idle(gate: Gate, ids: list[str]) -> list[Status]:
    """Wait until each of these runs has ended or waits for a person."""
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            found = [await gate.api.status(one) for one in ids]
            if {one.state for one in found} <= {"executed", "in_review"}:
                return found
            await asyncio.sleep(0.02)


async def test_of_ten_plans_for_499_each_only_one_runs_without_approval(
    idle_gate: Gate, tool: Refunds
) -> None:
    gate = idle_gate
    ids = [await gate.submit(plan=refunds("499")) for _ in range(10)]
    waiting = [one for one in await wait_until_idle(gate, ids) if one.state == "in_review"]
    assert (len(waiting), len(tool.lines())) == (9, 1)
    assert {(of.others, of.own) for one in waiting for of in one.sums} == {("499", "499")}
    assert (await gate.decide(waiting[0])).accepted
    assert (await gate.result(waiting[0].workflow_id)).outcome == "executed"
    assert len(tool.lines()) == 2


async def test_a_plan_that_would_exceed_the_limit_at_its_claim_begins_nothing(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    tool = limited(gate)
    with pytest.MonkeyPatch.context() as patch:
        refuse_transactions(patch, "execute_step", RecordsUnavailable("not yet"))
        async with gate.worker():
            ids = [await gate.submit(plan=refunds("200", "99")) for _ in range(2)]
            for one in ids:
                await gate.until("executing", one)
    async with gate.worker():
        (waiting,) = (one for one in await wait_until_idle(gate, ids) if one.state == "in_review")
        assert len(tool.lines()) == 2
        assert waiting.needs_more
        assert str(waiting.requirement) == "1 approval by anyone but the requester"
        assert [entry.event.kind for entry in gate.api.trail(waiting.workflow_id)][2:] == ["reopened"]
        assert (await gate.decide(waiting)).accepted
        assert (await gate.result(waiting.workflow_id)).outcome == "executed"
        assert len(tool.lines()) == 4
    assert findings(gate) == []


@pytest.mark.parametrize(
    ("first", "more"),
    [
        ("", 'needs = []\nwindow = "later"'),
        ("", 'needs = [{ role = "anyone" }]\nwindow = "later"'),
        ('freeze = ["never"]', 'needs = [{ role = "anyone" }]\nfreeze = ["on mondays"]'),
        ('freeze = ["never"]', 'needs = [{ role = "anyone" }]\ntimeout = "4h"'),
    ],
    ids=["a window", "an approval and a window", "another freeze", "a shorter review"],
)
async def test_a_plan_with_other_start_times_at_its_claim_runs_at_these_times(
    idle_gate: Gate, first: str, more: str
) -> None:
    gate = idle_gate
    begin = now().replace(second=0, microsecond=0) + timedelta(hours=5)
    hours = f"{begin:%H:%M}-{begin + timedelta(hours=2):%H:%M}"
    rules = POLICY.replace("needs = []\n\n", f"needs = []\n{first}\n\n", 1)
    rules = rules.replace('> 500"\nneeds = [{ role = "anyone" }]', f'> 500"\n{more}')
    tool = limited(gate, CALENDARS.replace("HOURS", hours) + rules)
    with pytest.MonkeyPatch.context() as patch:
        refuse_transactions(patch, "execute_step", RecordsUnavailable("not yet"))
        async with gate.worker():
            ids = [await gate.submit(plan=refunds("300")) for _ in range(2)]
            for one in ids:
                await gate.until("executing", one)
    async with gate.worker():
        async with asyncio.timeout(WAIT_LIMIT):
            while not (again := [one for one in ids if kinds(gate, one)[-1] == "reopened"]):
                await asyncio.sleep(0.02)
        (later,) = again
        # The workflow applies the recorded event a moment later.
        if "anyone" in more:
            answer = await gate.decide(await gate.until("in_review", later))
            assert answer.accepted, answer.reason
        if "window" in more:
            handle = gate.handle(later)
            at = await gate.env.get_current_time(handle)
            await gate.until("executing", later, lambda status: status.waits_until(at) == begin)
            await gate.env.fast_forward(handle, timedelta(hours=5))
        result = await gate.result(later)
        assert result.outcome == "executed", result
        assert len(tool.lines()) == 2
    assert not list(rule_violations(later, gate.api.trail(later)))  # by the server's clock, which is ahead
