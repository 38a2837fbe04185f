"""Runs create tickets and comments once, despite failures of the tracker and the worker (P3)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.tools.tickets.ticket import Limits
from plangate.domain.runs.audit import Claimed, Released
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import Status
from tests.support.faulty_server import Answer, Dropped, Says, Slow, too_many
from tests.support.gate import Gate
from tests.support.github_server import GitHubServer
from tests.support.holds import found, resolve
from tests.support.jira_server import JiraServer
from tests.support.tickets import VENDORS, TicketSetup, ticket_setup

LIMIT = 2  # seconds; the tools' own time limit would take minutes


@pytest.fixture
def here(request: pytest.FixtureRequest) -> Iterator[TicketSetup]:
    with ticket_setup(getattr(request, "param", "github"), Limits(connect=1, read=0.3, whole=0.5)) as opened:
        yield opened


def tools_of(here: TicketSetup, gate: Gate) -> None:
    """Add both tools to the test instance, with shorter waits than for a real vendor."""
    for tool in (here.create, here.comment):
        tool.declaration = replace(tool.declaration, seconds=LIMIT)  # type: ignore[misc]
        gate.tools[tool.declaration.name] = tool


def creating(here: TicketSetup, title: str = "Refund of order 7") -> dict[str, Any]:
    arguments = {"project": here.project, "title": title, "body": "It failed."}
    return {"tool": "create_ticket", "arguments": arguments}


def commenting(here: TicketSetup, ticket: object) -> dict[str, Any]:
    arguments = {"project": here.project, "ticket": ticket, "body": "Done."}
    return {"tool": "comment_ticket", "arguments": arguments}


async def approved(gate: Gate, *steps: dict[str, Any]) -> Status:
    plan = {"summary": "Tell support", "steps": list(steps)}
    workflow_id = await gate.api.submit(PlanRequest(requester="rita", plan=plan))
    status = await gate.until("in_review", workflow_id)
    await gate.decide(status)
    return status


@pytest.mark.parametrize("here", VENDORS, indirect=True)
async def test_a_comment_goes_to_the_ticket_created_by_an_earlier_step(
    idle_gate: Gate, here: TicketSetup
) -> None:
    tools_of(here, idle_gate)
    async with idle_gate.worker():
        reference = {"from_step": 1, "field": "number"}
        status = await approved(idle_gate, creating(here), commenting(here, reference))
        assert status.plan is not None
        where = f"{here.project} on {here.tracker.name}"
        assert [step.preview for step in status.plan.steps] == [
            f'Create a ticket in {where}: "Refund of order 7", 1 line',
            f"Comment on the number of step 1 in {where}: 1 line",
        ]
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"
    assert here.vendor.titles() == ["Refund of order 7"]
    assert len(here.vendor.bodies()) == 1
    assert here.server.count("POST") == 2
    assert found(idle_gate, status.workflow_id) == []


async def test_a_lost_request_is_sent_again_when_it_can_no_longer_arrive(
    idle_gate: Gate, here: TicketSetup
) -> None:
    tools_of(here, idle_gate)
    here.server.plan(Dropped(), method="POST")
    async with idle_gate.worker():
        status = await approved(idle_gate, creating(here))
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"
    assert (here.server.count("POST"), here.vendor.titles()) == (2, ["Refund of order 7"])
    trail = idle_gate.api.trail(status.workflow_id)
    claimed = [entry.at for entry in trail if isinstance(entry.event, Claimed)]
    released = [entry.at for entry in trail if isinstance(entry.event, Released)]
    assert released[-1] - claimed[0] >= timedelta(seconds=LIMIT)
    assert claimed[-1] >= released[-1]  # the second request has its own claim and time
    assert found(idle_gate, status.workflow_id) == []


@pytest.mark.parametrize("here", ["jira"], indirect=True)
async def test_a_request_that_arrives_after_its_timeout_is_found_and_not_sent_again(
    idle_gate: Gate, here: TicketSetup
) -> None:
    tools_of(here, idle_gate)
    here.server.plan(Slow(seconds=0.8), method="POST")
    async with idle_gate.worker():
        status = await approved(idle_gate, creating(here))
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"
    assert (here.server.count("POST"), here.vendor.titles()) == (1, ["Refund of order 7"])


@pytest.mark.parametrize("here", ["jira-cloud"], indirect=True)
async def test_a_ticket_that_is_listed_late_is_not_created_again(idle_gate: Gate, here: TicketSetup) -> None:
    tools_of(here, idle_gate)
    here.vendor.lag = 1
    here.server.plan(Dropped(after_effect=True), method="POST")
    async with idle_gate.worker():
        status = await approved(idle_gate, creating(here))
        await idle_gate.until("executing", status.workflow_id, lambda one: one.steps[0].last_error != "")
        here.vendor.lag = 0
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"
    assert (here.server.count("POST"), here.vendor.titles()) == (1, ["Refund of order 7"])


async def test_an_incomplete_list_leaves_the_step_in_doubt(idle_gate: Gate) -> None:
    with ticket_setup("jira-cloud") as here:
        tools_of(here, idle_gate)
        async with idle_gate.worker():
            here.server.plan(Dropped(), method="POST")
            status = await approved(idle_gate, creating(here))
            await idle_gate.until("executing", status.workflow_id, lambda one: one.steps[0].last_error != "")
            here.vendor.clock = lambda: datetime.now(UTC) + timedelta(hours=1)
            await here.create.act(here.ticket(title="Other"), "other:0")
            assert isinstance(here.vendor, JiraServer)
            here.vendor.repeat_newest(200)  # concurrently: creating them one by one takes longer than a retry
            held = await idle_gate.held(status.workflow_id)
    assert held.held is not None
    assert "Look for a ticket titled 'Refund of order 7' in OPS on Jira." in held.held.why
    assert held.steps[0].state == "in_doubt"


@pytest.mark.parametrize("here", VENDORS[:2], indirect=True)
async def test_a_changed_ticket_holds_the_run_and_created_items_are_undone(
    idle_gate: Gate, here: TicketSetup
) -> None:
    tools_of(here, idle_gate)
    await here.create.act(here.ticket(title="Old"), "before")
    async with idle_gate.worker():
        plan = {"summary": "s", "steps": [creating(here), commenting(here, 1)]}
        status = await idle_gate.until(
            "in_review", await idle_gate.api.submit(PlanRequest(requester="rita", plan=plan))
        )
        assert status.plan is not None
        key = "acme/support#1 on GitHub" if isinstance(here.vendor, GitHubServer) else "OPS-1 on Jira"
        state = "open" if isinstance(here.vendor, GitHubServer) else "To Do"
        assert status.plan.steps[1].preview == f'Comment on {key}, "Old", which is {state}: 1 line'
        if isinstance(here.vendor, GitHubServer):
            here.vendor.issues[0]["state"] = "closed"
        else:
            here.vendor.issues[0]["fields"]["status"]["name"] = "Done"
        await idle_gate.decide(status)
        held = await idle_gate.held(status.workflow_id)
        assert held.held is not None
        assert f'state was "{state}", is now' in held.held.why
        can_be_undone = here.tracker.can_close
        assert status.plan.steps[0].undoable == can_be_undone
        await resolve(idle_gate, status.workflow_id, "undo" if can_be_undone else "abort")
        assert (await idle_gate.result(status.workflow_id)).outcome == "failed"
    assert here.vendor.bodies() == []
    if isinstance(here.vendor, GitHubServer):
        assert here.vendor.issues[1]["state"] == "closed"


async def test_a_rate_limit_is_respected(idle_gate: Gate, here: TicketSetup) -> None:
    tools_of(here, idle_gate)
    here.server.plan(too_many("2"), method="POST")
    async with idle_gate.worker():
        status = await approved(idle_gate, creating(here))
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"
    assert (here.server.count("POST"), here.vendor.titles()) == (2, ["Refund of order 7"])
    claimed = [
        entry.at for entry in idle_gate.api.trail(status.workflow_id) if isinstance(entry.event, Claimed)
    ]
    assert claimed[1] - claimed[0] >= timedelta(seconds=2)


@pytest.mark.parametrize("here", VENDORS[:2], indirect=True)
async def test_the_token_is_never_recorded(idle_gate: Gate, here: TicketSetup) -> None:
    tools_of(here, idle_gate)
    token = here.vendor.token
    here.server.plan(
        Says(answer=Answer(403, {"message": f"no {token}", "errorMessages": [token]})), method="POST"
    )
    async with idle_gate.worker():
        status = await approved(idle_gate, creating(here))
        held = await idle_gate.held(status.workflow_id)
    trail = idle_gate.api.trail(status.workflow_id)
    assert held.held is not None
    assert token not in f"{held!r}{trail!r}"
    assert here.tracker.name in held.held.why
