"""The activity that checks a plan with this worker's tools, without recording anything.

It is not part of a run: a client without tools, such as the inbox, starts it separately before a person
confirms an edit.
"""

from pydantic import JsonValue
from temporalio import activity

from activities.plan_check import PlanCheck
from plangate.domain.errors import PlanInvalid
from plangate.domain.plans.plan_checked import PlanChecked
from plangate.temporal.contract import CHECK_PLAN


class Checking:
    """Checks plans."""

    def __init__(self, plans: PlanCheck) -> None:
        self._plans = plans

    @activity.defn(name=CHECK_PLAN)
    async def check_plan(self, plan: JsonValue) -> PlanChecked:
        """Return the errors of a proposed plan."""
        try:
            self._plans.check(plan)
        except PlanInvalid as error:
            return PlanChecked(faults=error.faults)
        return PlanChecked()
