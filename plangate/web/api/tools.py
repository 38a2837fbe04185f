"""List the tools in the plans that you may see, without loading them."""

import asyncio
from typing import Final

from fastapi import APIRouter
from pydantic import Field, JsonValue

from plangate.domain.base import Frozen
from plangate.domain.runs.status import Status
from plangate.records.database import Database
from plangate.records.tool_descriptions import descriptions_of
from plangate.web.api.problems import RESPONSES
from plangate.web.visitors import VisitorDep, WebDep

_RUNS: Final = 200

router = APIRouter(prefix="/api/v1", tags=["tools"], responses=RESPONSES)


class ToolSeen(Frozen):
    """A tool in a plan.

    Attributes:
        name: the tool's name.
        definition: SHA-256 of its name, description and argument schema, as in the newest of these plans.
        arguments: the names of the arguments that these plans pass to it.
        plans: how many of these plans use it.
        description: what it does, as its author wrote it; empty if it is not recorded.
        schema: the JSON schema of its arguments in that definition; None if it is not recorded.
    """

    name: str
    definition: str
    arguments: tuple[str, ...]
    plans: int
    description: str = ""
    arguments_schema: dict[str, JsonValue] | None = Field(default=None, serialization_alias="schema")


@router.get("/tools")
async def list_tools(web: WebDep, visitor: VisitorDep) -> list[ToolSeen]:
    """List the tools in the plans of the newest 200 runs that you may see.

    The server loads no tools; to see which tools plans can use, run `plangate tools` where a worker runs.
    """
    found = await web.gate.newest(_RUNS, visitor.rights)
    return await asyncio.to_thread(_described, web.gate.database, _seen(found))


def _described(database: Database, seen: list[ToolSeen]) -> list[ToolSeen]:
    """Return the tools with their recorded descriptions."""
    with database.read() as connection:
        kept = descriptions_of(connection, [one.definition for one in seen])
    found = ((one, kept.get(one.definition)) for one in seen)
    return [
        one.model_copy(update={"description": said.description, "arguments_schema": said.arguments})
        if said
        else one
        for one, said in found
    ]


def _seen(statuses: list[Status]) -> list[ToolSeen]:
    found: dict[str, ToolSeen] = {}
    for status in statuses:
        steps = {step.tool: step for step in (status.plan.steps if status.plan else ())}
        for name, step in steps.items():
            known = found.get(name) or ToolSeen(name=name, definition=step.definition, arguments=(), plans=0)
            names = sorted({*known.arguments, *step.arguments})
            found[name] = known.model_copy(update={"arguments": tuple(names), "plans": known.plans + 1})
    return sorted(found.values(), key=lambda one: one.name)
