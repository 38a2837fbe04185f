"""The API for planner authors: a planner is an async function of a brief and tools that returns a summary.

    async def plan(brief: Brief, tools: PlannerTools) -> str:
        for line in brief.request.splitlines():
            await tools.call("note", {"text": line, "why": "it was asked for"})
        return "Write each line down."

With `PLANGATE_PLANNER=module:plan`, a worker drafts its plans with this function. The tools have no effect: a
call proposes a step, or reads data. docs/howto-write-a-planner.md contains examples that call a model. May
import the domain, but no vendor's library.
"""

from plangate.domain.errors import DraftUnusable, ModelRefused, ModelUnavailable
from plangate.planner.brief import Brief
from plangate.planner.protocols import PlanFunction, PlannerResult, PlannerTool, PlannerTools

__all__ = [
    "Brief",
    "DraftUnusable",
    "ModelRefused",
    "ModelUnavailable",
    "PlanFunction",
    "PlannerResult",
    "PlannerTool",
    "PlannerTools",
]
