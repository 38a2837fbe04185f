"""A planner that returns a test's plans; implements the application's protocol `Planner`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from plangate.domain.errors import DraftUnusable, NoModel, PlangateError
from plangate.domain.plans.drafting import as_proposed_plan
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.runs.audit import ModelUse
from plangate.testing.plans import as_plan

Script = Callable[[Any], Any] | Sequence[Any]
"""A function of a brief (request, previous, feedback) that returns a plan, or one plan for each draft."""


class Drafted(NamedTuple):
    """The result of a planner."""

    plan: Plan
    planner: ModelUse
    state: None = None


class ScriptedPlanner:
    """A planner that returns the test's plans.

    Args:
        script: the plans; None if the test has no text request.
    """

    def __init__(self, script: Script | None) -> None:
        self._script = script
        self._plans: Iterator[Any] = iter(()) if script is None or callable(script) else iter(script)

    @property
    def has_model(self) -> bool:
        """Return whether there is a script."""
        return self._script is not None

    async def draft(self, brief: Any) -> Drafted:
        """Return the next plan; ``Any`` is the application's type of a brief.

        Raises:
            NoModel: the test has no planner.
            DraftUnusable: the script has no more plans, or fails.
        """
        if self._script is None:
            raise NoModel("This test has no planner; pass one, plangate(…, planner=…), or run a plan.")
        try:
            made = self._script(brief) if callable(self._script) else next(self._plans, None)
        except Exception as error:
            raise DraftUnusable(f"The test's planner failed ({type(error).__name__}: {error}).") from error
        if made is None:
            raise DraftUnusable("The test's planner has no more plans.")
        try:
            proposed = as_proposed_plan(as_plan(made))
        except PlangateError as error:
            raise DraftUnusable(str(error)) from error
        steps = tuple(Step(**one.model_dump()) for one in proposed.steps)
        return Drafted(Plan(summary=proposed.summary, steps=steps), ModelUse(model="scripted"))
