"""A step in doubt that a person wants to retry stays in doubt until the retry has a result."""

import asyncio
from datetime import timedelta

import pytest

from plangate.domain.decisions.decision import Resolution
from plangate.domain.people.people import People, Person
from plangate.domain.runs.remaining_steps import remainder_of
from plangate.domain.runs.run import StepState
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.presentation.markdown import details_page
from plangate.presentation.remaining_effects_page import remaining_effects_page
from plangate.presentation.run_page import run_page
from plangate.records.trail import read_state
from tests.support.gate import Gate
from tests.support.holds import approved, booking_gate, found, keys, lost, resolve
from tests.support.policies import one_approval, wants
from tests.unit.test_run_page import printed
from tests.workflow.test_start_times import HOUR, advance, broken, daily, time_of, until_moment

VALID = timedelta(seconds=2)


async def reopened(gate: Gate) -> Status:
    """Return a run that is in review again to retry its first step, whose effect happened unnoticed."""
    status = await approved(gate, "1", "2")
    await gate.held(status.workflow_id)
    await asyncio.sleep(VALID.total_seconds() + 0.1)
    await resolve(gate, status.workflow_id, "retry")
    return await gate.until("in_review", status.workflow_id)


def assert_in_doubt(gate: Gate, status: Status) -> None:
    for step in (status.steps[0], gate.recorded(status.workflow_id).steps[0]):  # type: ignore[union-attr]
        assert step.state is StepState.IN_DOUBT
        assert "The connection was lost." in step.failure
    assert "Step 1 of 2: book  in doubt" in printed(run_page(status, now()))
    with gate.database.read() as connection:
        assert "**in doubt**" in details_page(read_state(connection, status.workflow_id))


def assert_retried_in_doubt(gate: Gate, waiting: Status) -> None:
    """Check that each page of a run whose retry waits states that the step may have happened."""
    recorded = gate.recorded(waiting.workflow_id)
    assert recorded is not None
    for shown in (waiting, recorded):
        step = shown.steps[0]
        assert (step.state, step.is_begun) == (StepState.PENDING, True)
        assert "The connection was lost." in step.failure
        page = printed(run_page(shown, now()))
        assert "book  in doubt, its retry has no result yet" in page
        assert "The connection was lost." in page
        assert "in doubt" in printed(remaining_effects_page(shown))
        assert "withdraw-approval" not in page
    with gate.database.read() as connection:
        details = details_page(read_state(connection, waiting.workflow_id))
    assert "**in doubt, its retry has no result yet**: `The connection was lost." in details


@pytest.mark.parametrize("end", ["reject", "withdraw"])
async def test_a_review_reopened_by_a_retry_and_the_ended_run_show_the_step_in_doubt(
    idle_gate: Gate, end: str
) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy = one_approval(valid_for=VALID)
    account.failures, account.acts_before_failing = [lost()], True
    async with gate.worker():
        again = await reopened(gate)
        assert_in_doubt(gate, again)
        if end == "reject":
            assert (await gate.decide(again, "reject", by="erik")).accepted
        else:
            await gate.api.withdraw(again.workflow_id, "no longer needed")
        await gate.result(again.workflow_id)
        ended = await gate.api.status(again.workflow_id)
        assert_in_doubt(gate, ended)
        rest = remainder_of(ended)
        assert "In doubt in that run: step 1 (book)" in rest.request
        assert rest.plan.steps[0].reason.startswith("It is in doubt whether")
    assert found(gate, again.workflow_id) == []


async def test_a_retry_that_is_approved_again_runs_and_completes_the_step(idle_gate: Gate) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.policy = one_approval(valid_for=VALID)
    account.failures, account.acts_before_failing = [lost()], False
    async with gate.worker():
        again = await reopened(gate)
        assert (await gate.decide(again, by="erik")).accepted
        assert (await gate.result(again.workflow_id)).outcome == "executed"
        ended = await gate.api.status(again.workflow_id)
        assert [(step.state, step.failure) for step in ended.steps] == [(StepState.DONE, "")] * 2
    assert account.texts() == ["booked 1", "booked 2"]
    assert found(gate, again.workflow_id) == []


class Listed:
    """A list of people from which tests remove names."""

    def __init__(self) -> None:
        self.names = ["rita", "dana", "erik"]

    def people(self) -> People:
        return People(persons=tuple(Person(name=name) for name in self.names))


async def test_a_retry_that_may_no_longer_begin_stays_in_doubt_and_keeps_its_key(idle_gate: Gate) -> None:
    """The person who resolved it leaves while it waits for its window; another person retries the effect."""
    gate, account = idle_gate, booking_gate(idle_gate)
    gate.directory = listed = Listed()
    gate.policy = wants(("anyone", 1), windows=(daily(now() - timedelta(minutes=30), 2),))
    account.failures, account.acts_before_failing = [lost()], False
    async with gate.worker():
        status = await approved(gate, "1")
        await advance(gate, await gate.held(status.workflow_id), 4 * HOUR)
        await resolve(gate, status.workflow_id, "retry", by="erik")
        waiting = await gate.until("executing", status.workflow_id)
        opens = waiting.waits_until(await time_of(gate, status))
        assert opens is not None
        assert_retried_in_doubt(gate, waiting)
        listed.names.remove("erik")
        await until_moment(gate, status, opens)
        held = await gate.held(status.workflow_id)
        assert held.held is not None
        assert "erik" in held.held.why
        assert held.steps[0].state is StepState.IN_DOUBT
        assert Resolution.MARK_DONE in held.held.resolutions
        await resolve(gate, status.workflow_id, "retry", by="dana")
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert account.texts() == ["booked 1"]
    assert len(set(keys(gate, status.workflow_id))) == 1
    assert not broken(gate, status)
