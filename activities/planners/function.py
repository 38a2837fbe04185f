"""Draft plans with any async function; enforce the limits and build the plan.

May import the domain, and the table of model errors, which does not depend on any vendor's library.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from activities.planner import Brief, Draft
from activities.planners.autogen.model_errors import has_planner_error, known_error, location_of
from activities.planners.limits import MAX_QUOTE, Limits
from activities.planners.proposals import Proposals
from activities.planners.reading import Reader
from plangate.domain.errors import (
    DraftUnusable,
    ModelRefused,
    ModelUnavailable,
    PlangateError,
)
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.plan import MAX_SUMMARY, Plan
from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.plurals import counted
from plangate.planner import PlannerResult

_log = structlog.get_logger(__name__)

_LENGTH_OF_CUT_NOTE: Final = 60
_CLEANUP_SECONDS: Final = 5.0  # seconds that a cancelled planner has to close its resources

OwnFunction = Callable[[Brief, Proposals], Awaitable[object]]
"""A planner's function, whose result is checked."""


class FunctionPlanner:
    """Drafts plans with an async function.

    Args:
        plan: the function.
        name: the name of the planner, if it reports no model.
        tools: the declarations of the tools.
        limits: the limits of each draft.
        readers: the readers of the read-only tools.
    """

    def __init__(
        self,
        plan: OwnFunction,
        name: str,
        tools: Mapping[str, ToolDeclaration],
        limits: Limits,
        readers: Mapping[str, Reader] | None = None,
    ) -> None:
        self._plan = plan
        self._name = name
        self._tools = tools
        self._limits = limits
        self._readers = readers

    @property
    def has_model(self) -> bool:
        """Return true, because only calling the function shows whether it can draft."""
        return True

    async def try_model(self) -> None:
        """Do nothing: the function opens its own resources."""

    async def draft(self, brief: Brief) -> Draft:
        """Draft a plan; for the errors, see `activities.planner.Planner`.

        A conversation that cannot be continued is started over once, from the previous plan.
        """
        brief = brief.model_copy(update={"max_steps": self._limits.max_steps})
        until = time.monotonic() + self._limits.seconds
        proposals = self._proposals(brief)
        try:
            result = await self._result(brief, proposals, until)
        except (ModelRefused, DraftUnusable) as error:
            if brief.state is None:
                raise
            _log.warning(
                f"The planner cannot continue its conversation, and starts over. {error}",
                action="planner_starts_over",
            )
            brief = brief.model_copy(update={"state": None})
            proposals = self._proposals(brief)
            result = await self._result(brief, proposals, until)
        if not isinstance(result, str | PlannerResult):
            raise DraftUnusable(
                f"The planner {self._name} returned {type(result).__name__}, not a summary; its author has "
                "to fix it."
            )
        result = PlannerResult(result) if isinstance(result, str) else result
        plan = _plan(result.summary, proposals)
        return Draft(plan=plan, planner=proposals.usage(self._name), state=result.state)

    def _proposals(self, brief: Brief) -> Proposals:
        """Return the tools of a draft; a continued conversation still has its earlier reads."""
        seen = brief.previous.reads if brief.previous is not None and brief.state is not None else ()
        return Proposals(self._tools, self._limits, self._readers, seen)

    async def _result(self, brief: Brief, proposals: Proposals, until: float) -> object:
        """Return the function's result, or cancel the function at the first limit that it reaches."""
        planning = asyncio.create_task(self._called(brief, proposals))
        failing = asyncio.create_task(proposals.failed.wait())
        try:
            await asyncio.wait(
                (planning, failing),
                timeout=max(until - time.monotonic(), 0),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if proposals.failure is not None:
                raise proposals.failure
            if not planning.done():
                raise ModelUnavailable(
                    f"The model did not finish the draft within {self._limits.seconds:g} seconds; "
                    "raise PLANGATE_DRAFT_SECONDS to allow more."
                )
            if planning.cancelled():  # it cancelled itself, as some clients do when their server dies
                raise ModelUnavailable(f"The planner {self._name} cancelled itself.")
            return planning.result()
        finally:
            proposals.close()
            failing.cancel()
            if not planning.done():
                planning.cancel()
                await asyncio.wait((planning,), timeout=_CLEANUP_SECONDS)

    async def _called(self, brief: Brief, proposals: Proposals) -> object:
        """Call the function; raise only Plangate's errors, without the function's own messages.

        Raises:
            PlannerError: the planner error for its exception.
        """
        try:
            result = self._plan(brief, proposals)
            return await result if inspect.isawaitable(result) else result
        except (Exception, SystemExit) as error:
            if error is proposals.failure:
                raise
            raise self.to_planner_error(error) from None

    def to_planner_error(self, error: BaseException) -> PlangateError:
        """Return the planner error for the function's exception, whose text is only logged."""
        _log.error("The planner failed.", action="planner_failed", exc_info=error)
        known = known_error(error)
        where = f"{location_of(error)}; the worker's log has the cause."
        if known is None:
            return DraftUnusable(f"The planner {self._name} failed ({type(error).__name__}){where}")
        if not has_planner_error(error):
            return known
        outcome = {
            ModelRefused: "was refused by its model's service",
            ModelUnavailable: "got no answer from its model's service",
        }.get(type(known), "made no plan")
        return type(known)(f"The planner {self._name} {outcome}{where}")


def _plan(text: str, proposals: Proposals) -> Plan:
    text, steps = text.strip(), proposals.steps
    if not steps:
        answer = f"its answer was: '{cut(one_line(text), MAX_QUOTE)}'" if text else "its answer was empty"
        raise DraftUnusable(f"The model proposed no steps; {answer}. Make the request more specific.")
    # A plan with a lone surrogate has no canonical form.
    text = text.encode("utf-8", "replace").decode("utf-8")
    if not text:
        text = f"{counted(len(steps), 'step')}: " + ", ".join(step.tool for step in steps)
    summary = text if len(text) <= MAX_SUMMARY else cut(text, MAX_SUMMARY - _LENGTH_OF_CUT_NOTE)
    return Plan(summary=summary, not_before=proposals.not_before, steps=steps, reads=proposals.reads)
