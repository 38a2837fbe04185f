"""Check proposed plans with this worker's tools, and add the tools' output for each step."""

from collections.abc import Mapping
from typing import Any

import structlog
from pydantic import JsonValue, ValidationError

from activities.observing import is_observed, observed
from plangate.domain.errors import PlanInvalid, ToolRefused
from plangate.domain.escaping import cut, lasting_line
from plangate.domain.faults import Fault
from plangate.domain.plans.drafting import check_drafted_size, check_plan, complete
from plangate.domain.plans.duplicates import MatchKey, match_digest
from plangate.domain.plans.plan import MAX_PREVIEW, Plan, Step
from plangate.domain.plans.previews import default_preview
from plangate.domain.plans.references import references_in
from plangate.tool import ObservesSome, Previews, Tool, Undoes, arguments_for, lacks_of

_log = structlog.get_logger(__name__)


class PlanCheck:
    """Checks plans with this worker's tools."""

    def __init__(self, tools: Mapping[str, Tool], max_steps: int) -> None:
        self._tools = tools
        self._max_steps = max_steps

    def check(self, raw: object) -> Plan:
        """Parse ``raw`` into a plan whose arguments are complete, valid and allowed by the settings.

        Raises:
            PlanInvalid: contains all errors.
        """
        # Read each time, because an MCP server's tools may have changed.
        declarations = {name: tool.declaration for name, tool in self._tools.items()}
        plan = check_plan(raw, declarations, self._max_steps)
        faults = []
        for index, step in enumerate(plan.steps):
            problem = _problem(self._tools[step.tool], step)
            if problem:
                faults.append(Fault(("steps", index), problem))
        if faults:
            raise PlanInvalid(faults)
        return plan

    def observes(self, plan: Plan) -> bool:
        """Return whether any tool observes something for this plan, which may take a long time."""
        return any(_observes(self._tools[step.tool], step) for step in plan.steps)

    def match_keys(self, plan: Plan) -> tuple[MatchKey, ...]:
        """Return the hashes that identify equal steps in other runs; empty if they are not known yet."""
        return tuple(
            MatchKey(
                step=number,
                tool=step.tool,
                same=names,
                digest=match_digest(step.tool, step.arguments, names),
            )
            for number, step in enumerate(plan.steps, start=1)
            for names in [self._tools[step.tool].declaration.identifying]
            if not set(references_in(step.arguments)) & set(names or step.arguments)
        )

    def described(self, plan: Plan) -> dict[str, bytes]:
        """Return the description of each tool in a plan, keyed by the tool's definition."""
        declared = {step.tool: self._tools[step.tool].declaration for step in plan.steps}
        return {one.definition(): one.described() for one in declared.values()}

    async def with_previews(self, plan: Plan) -> Plan:
        """Return a checked plan with the preview, observation and definition of each step.

        Raises:
            PlanInvalid: a tool can never observe the state that a step depends on, or the plan gets too
                large.
            ToolUnavailable: it cannot be observed now.
        """
        steps = [await self._with_preview(step, index) for index, step in enumerate(plan.steps)]
        return check_drafted_size(plan.model_copy(update={"steps": tuple(steps)}))

    async def _with_preview(self, step: Step, index: int) -> Step:
        tool = self._tools[step.tool]
        arguments = arguments_for(tool.declaration, step.arguments)
        observation: JsonValue = None
        if is_observed(tool, step.arguments):
            try:
                observation = await observed(tool, arguments)
            except ToolRefused as error:
                raise PlanInvalid([Fault(("steps", index), str(error))]) from error
        return step.model_copy(
            update={
                "preview": _preview(tool, step, arguments, observation),
                "observation": observation,
                "definition": tool.declaration.definition(),
                "undoable": tool.declaration.undoable and isinstance(tool, Undoes),
            }
        )


def _problem(tool: Tool, step: Step) -> str | None:
    """Return the reason why this worker cannot accept a step in a plan, or None."""
    lacks = lacks_of(tool)
    if lacks:
        return f"{step.tool} is not set up on this worker: {lacks}"
    try:
        arguments = arguments_for(tool.declaration, step.arguments)
    except ValidationError:
        arguments = None
    if arguments is None or complete(arguments) != step.arguments:
        return f"{step.tool} cannot read back its own arguments; its author has to fix the arguments model"
    try:
        return tool.objection(arguments)
    except Exception as error:  # noqa: BLE001  a bug in a tool must not end the run
        _log.exception("A tool could not check a call.", action="objection", tool=step.tool)
        return f"{step.tool} could not check this call ({type(error).__name__}); see the worker's log"


def _observes(tool: Tool, step: Step) -> bool:
    if not is_observed(tool, step.arguments):
        return False
    return not isinstance(tool, ObservesSome) or tool.observes(
        arguments_for(tool.declaration, step.arguments)
    )


def _preview(tool: Tool, step: Step, arguments: Any, observation: JsonValue) -> str:
    """Return the tool's preview in one line, or a preview made from its name and arguments."""
    preview = ""
    if isinstance(tool, Previews):
        try:
            preview = lasting_line(tool.preview(arguments, observation)).strip()
        except Exception:  # noqa: BLE001  a bug in a tool must not end the run
            _log.exception("A tool could not make its preview.", action="preview", tool=step.tool)
    return cut(preview or lasting_line(default_preview(step.tool, step.arguments)), MAX_PREVIEW - 100)
