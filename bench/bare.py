"""The bare workflow: what Plangate's shape costs without Plangate.

An activity that hands over a plan, a signal awaited until a deadline, an activity for the one step. It
decides nothing, records nothing, and accepts any signal. The sandbox imports it again, so it imports little.
"""

from datetime import timedelta
from typing import Any, Final

from temporalio import activity, workflow

_ACTIVITY_TIME: Final = timedelta(minutes=3)


@activity.defn
async def hand_over_plan(plan: dict[str, Any]) -> dict[str, Any]:
    """Return the plan that was brought along."""
    return plan


@activity.defn
async def do_nothing(plan: dict[str, Any]) -> str:
    """Execute the one step of the plan, which does nothing."""
    return str(plan["summary"])


@workflow.defn(name="Bare")
class Bare:
    """Plan, signal, step."""

    def __init__(self) -> None:
        self._approved = False

    @workflow.run
    async def run(self, plan: dict[str, Any], timeout_seconds: int) -> str:
        """Return what the step returned; the deadline raises."""
        plan = await workflow.execute_activity(hand_over_plan, plan, start_to_close_timeout=_ACTIVITY_TIME)
        await workflow.wait_condition(lambda: self._approved, timeout=timedelta(seconds=timeout_seconds))
        return await workflow.execute_activity(do_nothing, plan, start_to_close_timeout=_ACTIVITY_TIME)

    @workflow.signal
    def approve(self, message: dict[str, Any]) -> None:
        """Go on."""
        self._approved = bool(message)
