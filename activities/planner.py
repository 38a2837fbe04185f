"""The protocol of planners."""

from typing import Protocol

from pydantic import JsonValue

from plangate.domain.base import Frozen
from plangate.domain.plans.plan import Plan
from plangate.domain.runs.audit import ModelUse
from plangate.planner import Brief

__all__ = ["Brief", "Draft", "Planner"]


class Draft(Frozen):
    """The output of a planner: the plan with its reads, the model that made it, and the planner's state."""

    plan: Plan
    planner: ModelUse
    state: JsonValue = None


class Planner(Protocol):
    """Turns a brief into a plan that uses the given tools, without acting."""

    @property
    def has_model(self) -> bool:
        """Whether a model is configured; if not, `draft` raises NoModel."""
        ...

    async def draft(self, brief: Brief) -> Draft:
        """Draft a plan.

        Raises:
            NoModel: no model is configured.
            ModelRefused: the model's service refused the request permanently.
            ModelUnavailable: the model's service did not respond; a retry may succeed.
            DraftUnusable: the model responded, but not with a plan.
        """
