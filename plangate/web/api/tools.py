"""The tools, as far as a program that loads none of them can know: those of the plans that you may see."""

import asyncio
from typing import Final

from fastapi import APIRouter

from plangate.domain.base import Frozen
from plangate.domain.status import Status
from plangate.web.api.problems import RESPONSES
from plangate.web.visitors import VisitorDep, WebDep

_RUNS: Final = 200

router = APIRouter(prefix="/api/v1", tags=["tools"], responses=RESPONSES)


class ToolSeen(Frozen):
    """A tool that a plan has.

    Attributes:
        name: its name.
        definition: SHA-256 of its name, description and argument schema, as the newest of these plans has it.
        arguments: the names of the arguments that these plans give it.
        plans: in how many of these plans it is.
    """

    name: str
    definition: str
    arguments: tuple[str, ...]
    plans: int


@router.get("/tools")
async def list_tools(web: WebDep, visitor: VisitorDep) -> list[ToolSeen]:
    """List the tools of the plans that you may see, of the newest 200 runs.

    The server loads no tools; which of them plans can use, `plangate tools` says beside a worker.
    """
    found = await web.gate.newest(_RUNS, visitor.sight)
    return await asyncio.to_thread(_seen, found)


def _seen(statuses: list[Status]) -> list[ToolSeen]:
    found: dict[str, ToolSeen] = {}
    for status in statuses:
        steps = {step.tool: step for step in (status.plan.steps if status.plan else ())}
        for name, step in steps.items():
            known = found.get(name) or ToolSeen(name=name, definition=step.definition, arguments=(), plans=0)
            names = sorted({*known.arguments, *step.arguments})
            found[name] = known.model_copy(update={"arguments": tuple(names), "plans": known.plans + 1})
    return sorted(found.values(), key=lambda one: one.name)
