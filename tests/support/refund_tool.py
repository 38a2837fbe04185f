"""A tool that refunds amounts, for tests of limits over time; it fails as `Account` does."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from plangate.domain.plans.plan import Plan
from plangate.domain.plans.tool import Reference, ToolArguments
from tests.support.account_tool import Account


class RefundArguments(ToolArguments):
    """An amount, its currency, and who gets it."""

    amount: Decimal
    currency: str = "EUR"
    recipient: str | Reference = "kim"

    @property
    def text(self) -> str:
        """The line that an `Account` books."""
        return f"{self.amount} {self.currency} to {self.recipient}"

    @property
    def follows(self) -> None:
        """Always None: refunds do not refer to other refunds."""


class Refunds(Account):
    """Refunds amounts, and undoes refunds."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.declaration = replace(self.declaration, name="refund", arguments=RefundArguments)


def refunds(*amounts: str, **more: JsonValue) -> dict[str, Any]:
    """Return a plan that refunds these amounts."""
    steps = [
        {"tool": "refund", "arguments": {"amount": amount, **more}, "reason": "they paid too much"}
        for amount in amounts
    ]
    return {"summary": "Refund", "steps": steps}


def refund_plan(*amounts: str, **more: JsonValue) -> Plan:
    """Return a checked plan that refunds these amounts."""
    plan = Plan.model_validate(refunds(*amounts, **more))
    steps = tuple(
        one.model_copy(update={"arguments": _complete(json.dumps(one.arguments))}) for one in plan.steps
    )
    return plan.model_copy(update={"steps": steps})


def _complete(arguments: str) -> dict[str, JsonValue]:
    return RefundArguments.model_validate_json(arguments).model_dump(mode="json")
