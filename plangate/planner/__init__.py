"""The API for planner authors. A planner is an async function from a brief and tools to a summary.

    async def plan(brief: Brief, tools: PlannerTools) -> str:
        for line in brief.request.splitlines():
            await tools.call("note", {"text": line, "why": "it was asked for"})
        return "Write each line down."

With `PLANGATE_PLANNER=module:plan`, a worker drafts its plans with this function. The tools do not act: a
call proposes a step, or reads. docs/howto-write-a-planner.md has examples that call a model. May import the
domain, and no vendor's library.
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
