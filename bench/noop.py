"""A tool that does nothing, and plans with one step that uses it."""

from typing import Any

from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.tool import EffectStatus, Repeatable


def plan_for(run: str) -> dict[str, Any]:
    """Return the plan of a run; no two are equal, so none is reported as a duplicate of the others."""
    return {
        "summary": "Do nothing once",
        "steps": [{"tool": "no_op", "arguments": {"note": run}, "reason": "to be measured"}],
    }


class NoOpArguments(ToolArguments):
    """The arguments of the tool."""

    note: str


class NoOp:
    """A tool without an effect, whose calls may always be repeated."""

    declaration = ToolDeclaration(
        name="no_op",
        description="Do nothing.",
        arguments=NoOpArguments,
        retry_safety=RetrySafety.VENDOR_KEY,
    )

    def objection(self, arguments: NoOpArguments) -> str | None:
        """Allow everything."""
        del arguments
        return None

    async def act(self, arguments: NoOpArguments, idempotency_key: str) -> Receipt:
        """Do nothing."""
        del arguments, idempotency_key
        return Receipt(summary="nothing was done")

    async def find_out(self, arguments: NoOpArguments, idempotency_key: str) -> EffectStatus:
        """Allow the call to be repeated."""
        del arguments, idempotency_key
        return Repeatable()
