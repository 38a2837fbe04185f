"""The bare workflow: the cost of the same workflow shape without Plangate.

It has an activity that returns a plan, a wait for a signal until a deadline, and an activity for the only
step. It does not check or record anything, and accepts any signal. The sandbox imports this module again, so
it has only a few imports.
"""

from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow

_ACTIVITY_TIME: Final = timedelta(minutes=3)


@activity.defn
async def return_plan(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the given plan."""
    return plan


@activity.defn
async def do_nothing(plan: dict[str, Any]) -> str:
    """Execute the plan's only step, which does nothing."""
    return str(plan["summary"])


@workflow.defn(name="Bare")
class Bare:
    """A workflow that takes a plan, waits for a signal, and executes a step."""

    def __init__(self) -> None:
        self._approved = False

    @workflow.run
    async def run(self, plan: dict[str, Any], timeout_seconds: int) -> str:
        """Return the result of the step; raise an error at the deadline."""
        plan = await workflow.execute_activity(return_plan, plan, start_to_close_timeout=_ACTIVITY_TIME)
        await workflow.wait_condition(lambda: self._approved, timeout=timedelta(seconds=timeout_seconds))
        return await workflow.execute_activity(do_nothing, plan, start_to_close_timeout=_ACTIVITY_TIME)

    @workflow.signal
    def approve(self, message: dict[str, Any]) -> None:
        """Continue the workflow."""
        self._approved = bool(message)
