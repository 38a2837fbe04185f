"""If a tool's own arguments model fails, the edit that caused it is refused, and blocks nothing (P7)."""

from dataclasses import replace

import pytest
from pydantic import field_validator

from tests.support.account_tool import BookingArguments, bookings
from tests.support.gate import Gate
from tests.support.holds import booking_gate, found, in_review, verdicts


class Fragile(BookingArguments):
    """Its validator has a bug, and JSON cannot represent one of its values."""

    number: int = 0

    @field_validator("text")
    @classmethod
    def _known(cls, text: str) -> str:
        return {"missing": {}}[text]["key"] if text == "missing" else text  # type: ignore[index]

    @field_validator("number")
    @classmethod
    def _squared(cls, number: int) -> int:
        return number**2


@pytest.mark.parametrize("wrong", [bookings("missing"), bookings("1", number=2**40)], ids=["raises", "huge"])
async def test_an_edit_that_a_tool_cannot_check_is_refused_and_the_next_decision_is_processed(
    idle_gate: Gate, wrong: dict[str, object]
) -> None:
    gate, account = idle_gate, booking_gate(idle_gate)
    account.declaration = replace(account.declaration, arguments=Fragile)
    async with gate.worker():
        status = await in_review(gate, "1")
        await gate.signal(status, "edit", by="a stranger", new_plan=wrong)
        answer = await gate.decide(status)
        assert answer.accepted, answer.reason
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        (refused, why), _ = verdicts(gate, status.workflow_id)
        assert not refused
        assert "step 1, " in why
        assert found(gate, status.workflow_id) == []
