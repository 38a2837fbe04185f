"""What every planner is."""

from collections.abc import Mapping
from typing import Protocol

from plangate.domain.audit import ModelUse
from plangate.domain.base import Frozen
from plangate.domain.plan import Plan
from plangate.domain.tool import ToolDeclaration


class Brief(Frozen):
    """What a planner is told: the request, and for a new revision the plan before it and what to change."""

    request: str
    previous: Plan | None = None
    feedback: str = ""


class Draft(Frozen):
    """What a planner made, and with which model."""

    plan: Plan
    planner: ModelUse


class Planner(Protocol):
    """Turns a brief into a plan over the given tools, without acting."""

    @property
    def has_model(self) -> bool:
        """Whether there is anything to plan with; if not, `draft` raises NoModel."""
        ...

    async def draft(self, brief: Brief, tools: Mapping[str, ToolDeclaration], max_steps: int) -> Draft:
        """Draft a plan.

        Raises:
            NoModel: nothing is configured to plan with.
            ModelRefused: the model's service said no, for good.
            ModelUnavailable: the model's service did not answer; later may be better.
            DraftUnusable: the model answered, but not with a plan.
        """
