"""Find the tool of a step among the tools of this worker."""

from collections.abc import Mapping

from plangate.domain.errors import ToolUnavailable
from plangate.domain.plans.plan import Step
from plangate.tool import ActsOnObservation, Tool, lacks_of


def tool_of_step(step: Step, tools: Mapping[str, Tool]) -> Tool:
    """Return the tool of a step, with the observation that the step has.

    Raises:
        ToolUnavailable: this worker does not have the tool, or it is not set up.
    """
    tool = tools.get(step.tool)
    if tool is None:
        raise ToolUnavailable(f"This worker has no tool called {step.tool}; start a worker that has it.")
    lacks = lacks_of(tool)
    if lacks:
        raise ToolUnavailable(f"The tool {step.tool} of this worker is not set up: {lacks}")
    return tool.having_observed(step.observation) if isinstance(tool, ActsOnObservation) else tool
