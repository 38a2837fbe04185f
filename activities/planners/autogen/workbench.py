"""Offer the tools of a draft to AutoGen's agents. May import autogen_core."""

from collections.abc import Mapping
from typing import Any, Final, cast

from autogen_core import CancellationToken
from autogen_core.tools import ParametersSchema, TextResultContent, ToolResult, ToolSchema, Workbench

from activities.planners.proposals import Answer, Proposals
from plangate.domain.errors import PlangateError

START_OVER: Final = "start_over"
"""The tool with which an agent of a team discards the recorded steps, to propose them again."""


NOT_BEFORE: Final = "start_not_before"
"""The tool with which an agent sets the earliest start of its plan."""
_NOT_BEFORE_DESCRIPTION: Final = (
    "Set the time before which no step of this plan may begin. Call it only if the request contains that "
    "time, with its date. It records no step; the time is approved with the plan."
)
_NOT_BEFORE_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "not_before": {"type": "string", "description": "with its zone, such as 2026-11-30T09:00:00+01:00"}
    },
    "required": ["not_before"],
}


class ProposingWorkbench(Workbench):
    """A workbench whose tools propose steps or read data.

    Args:
        proposals: the proposals of the draft.
        starts_over: whether the agents may discard the recorded steps.
    """

    def __init__(self, proposals: Proposals, *, starts_over: bool = False) -> None:
        self._proposals = proposals
        self._starts_over = starts_over and all(tool.name != START_OVER for tool in proposals)
        self._offers_not_before = all(tool.name != NOT_BEFORE for tool in proposals)

    async def list_tools(self) -> list[ToolSchema]:
        """Return the schemas for function calling."""
        schemas = [_tool_schema(tool.name, tool.description, tool.schema) for tool in self._proposals]
        if self._offers_not_before:
            schemas.append(_tool_schema(NOT_BEFORE, _NOT_BEFORE_DESCRIPTION, _NOT_BEFORE_SCHEMA))
        if self._starts_over:
            description = "Discard all recorded steps, to propose the whole plan again."
            schemas.append(_tool_schema(START_OVER, description, {"type": "object", "properties": {}}))
        return schemas

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,  # noqa: ARG002  AutoGen's signature
        call_id: str | None = None,  # noqa: ARG002  as above
    ) -> ToolResult:
        """Handle one call; the code that processes AutoGen's events decides whether the draft has failed.

        AutoGen hangs if this raises.
        """
        if self._starts_over and name == START_OVER:
            self._proposals.start_over()
            answer = Answer("All recorded steps are discarded.")
        else:
            try:
                if self._offers_not_before and name == NOT_BEFORE:
                    answer = self._proposals.set_not_before(arguments)
                else:
                    answer = await self._proposals.answer(name, arguments)
            except PlangateError as error:
                answer = Answer(str(error), is_error=True)
        return ToolResult(
            name=name, result=[TextResultContent(content=answer.text)], is_error=answer.is_error
        )

    async def start(self) -> None:
        """Do nothing: there are no resources to release."""

    async def stop(self) -> None:
        """Do nothing: there are no resources to release."""

    async def reset(self) -> None:
        """Do nothing: a team is reset before it begins, and the steps belong to the draft."""

    async def save_state(self) -> Mapping[str, Any]:
        """Return nothing: the plan is recorded."""
        return {}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        """Do nothing: the plan is recorded."""


def _tool_schema(name: str, description: str, schema: Mapping[str, Any]) -> ToolSchema:
    return ToolSchema(name=name, description=description, parameters=cast("ParametersSchema", dict(schema)))
