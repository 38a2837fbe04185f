"""The protocol of planners."""

from typing import Protocol

from plangate.domain.audit import ModelUse
from plangate.domain.base import Frozen
from plangate.domain.plan import Plan


class Brief(Frozen):
    """The input of a planner: the request, and for a new revision the previous plan and what to change."""

    request: str
    previous: Plan | None = None
    feedback: str = ""


class Draft(Frozen):
    """The output of a planner: the plan, and which model made it."""

    plan: Plan
    planner: ModelUse


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
            ModelRefused: the model's service refused, for good.
            ModelUnavailable: the model's service did not answer; a retry may succeed.
            DraftUnusable: the model answered, but not with a plan.
        """
