"""A reference gets its value from a receipt just before the step, and the value is recorded.

If the value is missing or invalid, the run is held.
"""

from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from plangate.domain.plans.tool import Receipt, Reference, RetrySafety, ToolArguments, ToolDeclaration
from plangate.domain.runs.audit import Claimed
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import Status
from plangate.tool import DidNotHappen, EffectStatus
from tests.support.gate import Gate


class OpenArguments(ToolArguments):
    title: str


class CloseArguments(ToolArguments):
    number: int | Reference


class Ticket(BaseModel):
    number: int


class OpenTicket:
    """Returns these details, even if they violate its receipt's model."""

    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        "open_ticket", "Open a ticket.", OpenArguments, RetrySafety.LOOK_UP, receipt=Ticket
    )

    def __init__(self, details: dict[str, Any]) -> None:
        self.details = details

    def objection(self, arguments: OpenArguments) -> str | None:  # noqa: ARG002
        return None

    async def act(self, arguments: OpenArguments, idempotency_key: str) -> Receipt:  # noqa: ARG002
        return Receipt(summary="opened", details=self.details)

    async def find_out(self, arguments: OpenArguments, idempotency_key: str) -> EffectStatus:  # noqa: ARG002
        return DidNotHappen()


class CloseTicket:
    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        "close_ticket", "Close a ticket.", CloseArguments, RetrySafety.LOOK_UP
    )

    def __init__(self) -> None:
        self.closed: list[object] = []

    def objection(self, arguments: CloseArguments) -> str | None:  # noqa: ARG002
        return None

    async def act(self, arguments: CloseArguments, idempotency_key: str) -> Receipt:  # noqa: ARG002
        self.closed.append(arguments.number)
        return Receipt(summary="closed")

    async def find_out(self, arguments: CloseArguments, idempotency_key: str) -> EffectStatus:  # noqa: ARG002
        return DidNotHappen()


PLAN = {
    "summary": "Open a ticket and close it",
    "steps": [
        {"tool": "open_ticket", "arguments": {"title": "Lamp"}},
        {"tool": "close_ticket", "arguments": {"number": {"from_step": 1, "field": "number"}}},
    ],
}


async def approved(gate: Gate) -> Status:
    status = await gate.until("in_review", await gate.api.submit(PlanRequest(requester="rita", plan=PLAN)))
    await gate.decide(status)
    return status


async def test_the_value_is_resolved_just_before_the_step_and_recorded(idle_gate: Gate) -> None:
    closing = CloseTicket()
    idle_gate.tools.update({"open_ticket": OpenTicket({"number": 4711}), "close_ticket": closing})
    async with idle_gate.worker():
        status = await approved(idle_gate)
        assert status.plan is not None
        assert "the number of step 1" in status.plan.steps[1].preview
        result = await idle_gate.result(status.workflow_id)

    assert result.outcome == "executed"
    assert closing.closed == [4711]
    claims = [
        entry.event for entry in idle_gate.api.trail(status.workflow_id) if isinstance(entry.event, Claimed)
    ]
    assert [claim.resolved for claim in claims] == [{}, {"number": 4711}]


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({}, "the receipt of that step does not have it"),
        ({"number": "4711"}, "cannot be used"),
        ({"number": None}, "cannot be used"),
        ({"number": {"from_step": 1, "field": "number"}}, "cannot be used"),
    ],
)
async def test_a_missing_or_invalid_value_holds_the_run(
    idle_gate: Gate, details: dict[str, Any], said: str
) -> None:
    closing = CloseTicket()
    idle_gate.tools.update({"open_ticket": OpenTicket(details), "close_ticket": closing})
    async with idle_gate.worker():
        status = await approved(idle_gate)
        held = await idle_gate.held(status.workflow_id)

    assert held.held is not None
    assert held.held.step == 2
    assert said in held.held.why
    assert closing.closed == []
