"""An approved plan waits for its earliest start, its window and the end of a freeze, and can be stopped."""

import asyncio
from datetime import datetime, time, timedelta

import pytest

from plangate.audit.rules import rule_violations
from plangate.domain.errors import ToolRefused
from plangate.domain.people.people import People, Person
from plangate.domain.runs.audit import Held, RunRef
from plangate.domain.runs.status import Status
from plangate.domain.times.calendars import Calendar, Hours
from plangate.domain.times.start_times import StartSpan
from plangate.policy.policy_file import policy_in
from plangate.policy.starting import starts_of
from plangate.presentation.clock import now
from plangate.presentation.run_page import run_page
from tests.support.clock import until_passed
from tests.support.gate import Gate
from tests.support.orders import go, stop
from tests.support.policies import wants
from tests.support.sealed_records import FixedPeople
from tests.support.skip_waiting import skip_waiting
from tests.unit.test_run_page import printed
from tests.workflow.test_the_requirement_is_derived_again import (
    begun,
    examined,
    planned,
    record_forged_plan,
    requirement_of,
)

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
EVERY_DAY = tuple(range(7))


def daily(begin: datetime, hours: int, name: str = "daily") -> Calendar:
    """Return a calendar of some hours of every day, from this time of day."""
    begin = begin.replace(second=0, microsecond=0)
    span = Hours(begin=begin.time(), end=(begin + hours * HOUR).time())
    return Calendar(name=name, zone="UTC", weekdays=EVERY_DAY, hours=(span,))


async def time_of(gate: Gate, status: Status) -> datetime:
    """Return the time on this run's clock, which the server sets ahead."""
    return await gate.env.get_current_time(gate.handle(status.workflow_id))


def opens_in(gate: Gate, hours: int, lasts: int = 2) -> datetime:
    """Set a policy with a window that begins in this many hours; return its start time."""
    begin = now().replace(second=0, microsecond=0) + hours * HOUR
    gate.policy = wants(("anyone", 1), windows=(daily(begin, lasts),))
    return begin


async def approved(gate: Gate, *texts: str, by: str = "dana", **more: timedelta) -> Status:
    status = await gate.in_review(*texts, **more)
    answer = await gate.decide(status, by=by)
    assert answer.accepted, answer.reason
    assert "until then the approval can be withdrawn" in answer.reason
    return await gate.until("executing", status.workflow_id)


async def advance(gate: Gate, status: Status, after: timedelta) -> None:
    await gate.env.fast_forward(gate.handle(status.workflow_id), after)


async def until_moment(gate: Gate, status: Status, moment: datetime) -> None:
    """Skip to a minute after this moment.

    The server skips to the next timer, and then to the end of the given time. If that end passes while the
    run is at work in between, on a loaded machine, the server goes on to the next timer.
    """
    await advance(gate, status, max(timedelta(), moment - await time_of(gate, status)) + timedelta(minutes=1))


def broken(gate: Gate, status: Status) -> list[str]:
    return [one.what for one in rule_violations(status.workflow_id, gate.api.trail(status.workflow_id))]


def kinds(gate: Gate, status: Status) -> list[str]:
    return [entry.event.kind for entry in gate.api.trail(status.workflow_id)]


async def test_a_step_begins_with_its_window_even_if_a_worker_dies_meanwhile(idle_gate: Gate) -> None:
    gate = idle_gate
    begin = opens_in(gate, hours=5)
    async with gate.worker():
        status = await approved(gate, "one", "two")
        assert status.waits_until(await time_of(gate, status)) == begin
    async with gate.worker():
        await advance(gate, status, 3 * HOUR)
        await asyncio.sleep(0.1)
        assert gate.notebook.texts() == []
        assert kinds(gate, status) == ["requested", "drafted", "decided"]
        await until_moment(gate, status, begin)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert not broken(gate, status)


async def test_a_plan_that_needs_no_approval_waits_for_its_window_too(idle_gate: Gate) -> None:
    gate = idle_gate
    begin = opens_in(gate, hours=5)
    gate.policy = wants(windows=(daily(begin, 2),))
    async with gate.worker():
        status = await gate.until("executing", await gate.submit("one"))
        at = await time_of(gate, status)
        assert status.waits_until(at) == begin
        shown = printed(run_page(status, at))
        assert "approved" not in shown
        assert f"at {begin:%-d %b %H:%M}:00 UTC, in " in shown
        assert f"steps begin Mon-Sun {begin:%H:%M}-" in shown
        refused = await gate.decide(status, "reject")
        assert refused.reason == (
            f"the plan needs no approval, and can begin at {begin:%Y-%m-%d %H:%M:%S} UTC; "
            "until then its requester can withdraw it"
        )
        await advance(gate, status, 3 * HOUR)
        assert kinds(gate, status) == ["requested", "drafted", "decided"]
        await until_moment(gate, status, begin)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert not broken(gate, status)


async def test_an_approval_is_withdrawn_and_the_run_withdrawn_while_it_waits(idle_gate: Gate) -> None:
    gate = idle_gate
    begin = opens_in(gate, hours=5)
    async with gate.worker():
        status = await approved(gate, "one")
        assert (await gate.decide(status, "withdraw_approval")).accepted
        again = await gate.until("in_review", status.workflow_id)
        assert (await gate.decide(again, by="erik")).accepted
        await gate.until("executing", status.workflow_id)
        refused = await gate.decide(again, "reject", by="dana")
        assert f"can begin at {begin:%Y-%m-%d %H:%M:%S} UTC" in refused.reason
        await gate.api.withdraw(status.workflow_id, "by rita")
        assert (await gate.result(status.workflow_id)).outcome == "withdrawn"
        assert gate.notebook.texts() == []
    assert not broken(gate, status)


async def test_an_approval_that_is_stale_at_the_start_is_requested_again(idle_gate: Gate) -> None:
    """Its age is checked when the step begins, not when the approval is given."""
    gate = idle_gate
    begin = opens_in(gate, hours=5, lasts=3)
    gate.policy = wants(("anyone", 1), windows=(daily(begin, 3),), approval_valid_for=2 * 3600)
    async with gate.worker():
        status = await approved(gate, "one")
        await until_moment(gate, status, begin)
        reopened = await gate.until("in_review", status.workflow_id)
        assert [one.reason for one in reopened.lost] == ["dana's approval is too old"]
        assert (await gate.decide(reopened, by="dana", comment="still fine")).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert not broken(gate, status)


async def test_an_approval_by_a_person_who_has_left_in_the_meantime_is_not_valid(idle_gate: Gate) -> None:
    gate = idle_gate

    class Listed:
        gone = False

        def people(self) -> People:
            names = ("rita", "erik", *(() if self.gone else ("dana",)))
            return People(persons=tuple(Person(name=name) for name in names))

    begin = opens_in(gate, hours=5)
    gate.directory = listed = Listed()
    async with gate.worker():
        status = await approved(gate, "one")
        listed.gone = True
        await until_moment(gate, status, begin)
        reopened = await gate.until("in_review", status.workflow_id)
        assert "dana is not in the list of people" in reopened.lost[0].reason
        assert gate.notebook.texts() == []


async def test_a_retry_waits_for_the_window_too(idle_gate: Gate) -> None:
    """The claim checks the record, even if the worker's clock has passed the end of the window."""
    gate = idle_gate
    begin = now() - timedelta(minutes=30)
    gate.policy = wants(("anyone", 1), windows=(daily(begin, 2),))
    gate.notebook.failures = [ToolRefused("There is no such page.")]
    async with gate.worker():
        status = await gate.in_review("one")
        assert (await gate.decide(status)).accepted
        held = await gate.held(status.workflow_id)
        await advance(gate, held, 4 * HOUR)
        assert (await gate.resolve(status.workflow_id, "retry")).accepted
        waiting = await gate.until("executing", status.workflow_id)
        first = waiting.waits_until(await time_of(gate, status))
        assert first is not None
        assert (first.hour, first.minute) == (begin.hour, begin.minute)
        assert gate.notebook.texts() == []
        await until_moment(gate, status, first)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert not broken(gate, status)


async def test_the_claim_waits_even_if_the_run_does_not(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = idle_gate
    begin = opens_in(gate, hours=5)

    skip_waiting(monkeypatch)
    async with gate.worker():
        status = await gate.in_review("one")
        assert (await gate.decide(status)).accepted
        waiting = await gate.until("executing", status.workflow_id, lambda one: bool(one.steps[0].last_error))
        expected = f"Its rules allow no step to begin before {begin:%Y-%m-%d %H:%M}"
        assert expected in waiting.steps[0].last_error
        assert gate.notebook.texts() == []
        await gate.api.withdraw(status.workflow_id, "by rita")
        assert (await gate.result(status.workflow_id)).outcome == "withdrawn"


@pytest.mark.parametrize("then", ["reject", "expire", "edit", "approve"])
async def test_a_waiting_step_does_not_block_its_run(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """A claim that is made too early is retried when the window opens; the run does not wait for it."""
    gate = idle_gate
    opens_in(gate, hours=5)
    skip_waiting(monkeypatch)
    async with gate.worker():
        status = await gate.in_review("one", timeout=HOUR)
        assert (await gate.decide(status)).accepted
        await gate.until("executing", status.workflow_id, lambda one: bool(one.steps[0].last_error))
        assert (await gate.decide(status, "withdraw_approval")).accepted
        if then == "expire":
            await advance(gate, status, 2 * HOUR)
        elif then == "edit":
            plan = {"summary": "s", "steps": [{"tool": "note", "arguments": {"text": "two"}}]}
            assert (await gate.decide(status, "edit", "erik", new_plan=plan)).accepted
            await gate.until("in_review", status.workflow_id, lambda one: one.revision == 2)
            await gate.api.withdraw(status.workflow_id, "by rita")
        else:
            assert (await gate.decide(status, then, comment="again")).accepted
        if then == "approve":
            await gate.until("executing", status.workflow_id, lambda one: bool(one.steps[0].last_error))
            await gate.api.withdraw(status.workflow_id, "by rita")
        result = await gate.result(status.workflow_id)
    ends = {"reject": "rejected", "expire": "expired"}
    assert (result.outcome, gate.notebook.texts()) == (ends.get(then, "withdrawn"), [])
    assert not broken(gate, status)


async def test_after_the_last_window_the_plan_expires_and_never_runs(idle_gate: Gate) -> None:
    """The freeze covers every day from tomorrow on, so there is no other start time."""
    gate = idle_gate
    today = now()
    days = tuple((today + number * DAY).date() for number in range(1, 400))
    frozen = Calendar(name="freeze", zone="UTC", weekdays=(), extra_days=days)
    window = daily(today - HOUR, 2, "once")
    gate.policy = wants(("anyone", 1), windows=(window,), freezes=(frozen,))
    async with gate.worker():
        status = await gate.in_review("one", timeout=30 * DAY)
        await advance(gate, status, 2 * DAY)
        answer = await gate.decide(status)
        assert "no step may begin after" in answer.reason
        result = await gate.result(status.workflow_id)
        assert (result.outcome, gate.notebook.texts()) == ("expired", [])
        assert "because of the windows and freezes of its rules (once, freeze)" in result.reason
    assert not broken(gate, status)


async def test_a_plan_that_is_stopped_until_its_last_start_time_has_passed_expires(
    idle_gate: Gate,
) -> None:
    """Its step already waits for the release when the time runs out; no person has to resolve anything."""
    gate = idle_gate
    end = now() + timedelta(seconds=5)
    days = tuple((end + number * DAY).date() for number in range(1, 400))
    until_then = Hours(begin=time(), end=end.time())
    window = Calendar(name="once", zone="UTC", weekdays=EVERY_DAY, hours=(until_then,))
    frozen = Calendar(name="freeze", zone="UTC", weekdays=(), extra_days=days)
    gate.policy = wants(("anyone", 1), windows=(window,), freezes=(frozen,))
    async with gate.worker():
        number = await stop(gate)
        status = await gate.in_review("one")
        assert (await gate.decide(status)).accepted
        await gate.until("executing", status.workflow_id, lambda one: one.steps[0].is_stopped)
        await until_passed(end)
        await go(gate, number)
        result = await gate.result(status.workflow_id)
    assert (result.outcome, gate.notebook.texts()) == ("expired", [])
    assert "because of the windows and freezes of its rules (once, freeze)" in result.reason
    assert kinds(gate, status) == ["requested", "drafted", "decided", "closed"]
    assert not broken(gate, status)


async def test_a_begun_plan_is_held_if_no_start_time_is_left_for_the_rest(idle_gate: Gate) -> None:
    gate = idle_gate
    today = now()
    days = tuple((today + number * DAY).date() for number in range(1, 400))
    frozen = Calendar(name="freeze", zone="UTC", weekdays=(), extra_days=days)
    gate.policy = wants(("anyone", 1), freezes=(frozen,))
    gate.notebook.failures = [ToolRefused("There is no such page.")]
    async with gate.worker():
        status = await gate.in_review("one")
        assert (await gate.decide(status)).accepted
        held = await gate.held(status.workflow_id)
        await advance(gate, held, 2 * DAY)
        assert (await gate.resolve(status.workflow_id, "retry")).accepted
        again = await gate.until(
            "held", status.workflow_id, lambda one: bool(one.held and one.held.number == 2)
        )
        assert again.held is not None
        assert "No step may begin after" in again.held.why
        assert gate.notebook.texts() == []
        assert (await gate.resolve(status.workflow_id, "abort")).accepted
        await gate.result(status.workflow_id)
    events = [one.event for one in gate.api.trail(status.workflow_id)]
    assert [one.step for one in events if isinstance(one, Held)] == [1, 1]
    assert not broken(gate, status)


async def test_a_plan_that_could_never_begin_is_refused_immediately(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy = wants(
        ("anyone", 1),
        windows=(daily(now(), 2),),
        freezes=(Calendar(name="all", zone="UTC", weekdays=EVERY_DAY),),
    )
    async with gate.worker():
        result = await gate.result(await gate.submit("one"))
        assert result.outcome == "failed"
        assert "could never begin: its rules leave no time for it" in result.reason


async def test_a_plan_with_too_many_start_times_to_record_is_refused_immediately(idle_gate: Gate) -> None:
    gate = idle_gate
    hours = tuple(Hours(begin=time(hour), end=time(hour, 50)) for hour in range(24))
    gate.policy = wants(
        ("anyone", 1), windows=(Calendar(name="hourly", zone="UTC", weekdays=EVERY_DAY, hours=hours),)
    )
    async with gate.worker():
        result = await gate.result(await gate.submit("one", timeout=30 * DAY))
        assert result.outcome == "failed"
        assert "has too many start times" in result.reason
        assert "ask for a shorter review" in result.reason


WINDOWED = policy_in(
    """
[[calendar]]
name = "year-end"
zone = "Europe/Berlin"
weekdays = []
extra_days = [2099-12-31]

[default]
needs = [{ role = "finance" }]
window = "year-end"
freeze = "year-end"
"""
)


@pytest.mark.parametrize("has_times", [True, False])
async def test_start_times_forged_in_the_records_have_no_effect(idle_gate: Gate, has_times: bool) -> None:
    """The window of this policy never opens; in the forged record, it is always open, or missing."""
    gate = idle_gate
    gate.policy, gate.directory = WINDOWED, FixedPeople()
    ref = await begun(gate)
    at = requested_of(ref)
    requirement = requirement_of(WINDOWED, planned(gate))
    made = starts_of(requirement, at, at + timedelta(minutes=5), None)
    assert made is not None
    assert made.spans == ()
    open_all_day = made.model_copy(update={"spans": (StartSpan(since=at, until=at + DAY),)})
    starts = {"starts": open_all_day if has_times else None}
    record_forged_plan(gate, ref, requirement, requester="rita", **starts)
    async with gate.worker():
        result = await gate.result(ref.workflow_id)
    assert (result.outcome, gate.notebook.texts()) == ("failed", [])
    words = "has start times that differ" if has_times else "does not contain the times in which its steps"
    assert words in result.reason
    records, bundle = examined(gate, ref.workflow_id)
    assert any(words in one for one in records)
    assert any(words in one for one in bundle)


def requested_of(ref: RunRef) -> datetime:
    assert ref.requested is not None
    return ref.requested.requested_at
