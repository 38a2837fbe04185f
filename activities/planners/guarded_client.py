"""What stands between AutoGen and any model client: a client's failures and a model's whims come in here.

May import the domain, the table of model errors, and autogen_core.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Literal

from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelCapabilities,
    ModelInfo,
    RequestUsage,
)
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from activities.planners.model_errors import planner_error


class GuardedClient(ChatCompletionClient):
    """Hands on to another client; lets through neither its errors nor tool calls that AutoGen cannot carry.

    AutoGen waits for ever where the handling of a call raises: at a call without an id, which some servers
    send, or at arguments that break `json.loads` other than by a `JSONDecodeError` (a number of 5,000
    digits, 10,000 open brackets). And many servers refuse a conversation in which a call's arguments are
    not JSON. So each call gets an id, and such arguments become ``{}``, which the workbench refuses.
    """

    def __init__(self, client: ChatCompletionClient) -> None:
        self._client = client
        self._calls = 0

    async def create(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = (),
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
    ) -> CreateResult:
        """Return the model's answer.

        Raises:
            PlannerError: as `planner_error` says; the original is not chained, since it may hold the prompt.
        """
        try:
            result = await self._client.create(
                messages,
                tools=tools,
                tool_choice=tool_choice,
                json_output=json_output,
                extra_create_args=extra_create_args or {},
                cancellation_token=cancellation_token,
            )
        except Exception as error:  # noqa: BLE001 — every vendor raises its own; the table knows them
            raise planner_error(error) from None
        if isinstance(result.content, str):
            return result
        return result.model_copy(update={"content": [self._carried(call) for call in result.content]})

    def _carried(self, call: FunctionCall) -> FunctionCall:
        self._calls += 1
        return FunctionCall(
            id=call.id if isinstance(call.id, str) and call.id else f"call_{self._calls}",
            name=call.name,
            arguments=call.arguments if _is_object(call.arguments) else "{}",
        )

    def create_stream(
        self,
        messages: Sequence[LLMMessage],
        *,
        tools: Sequence[Tool | ToolSchema] = (),
        tool_choice: Tool | Literal["auto", "required", "none"] = "auto",
        json_output: bool | type[BaseModel] | None = None,
        extra_create_args: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,
    ) -> AsyncGenerator[str | CreateResult, None]:
        """Not offered: a draft needs whole answers, and a stream would pass by the guard."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the client behind."""
        await self._client.close()

    def actual_usage(self) -> RequestUsage:
        """Return the usage of the last call."""
        return self._client.actual_usage()

    def total_usage(self) -> RequestUsage:
        """Return the usage of all calls."""
        return self._client.total_usage()

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        """Return the length of a prompt."""
        return self._client.count_tokens(messages, tools=tools)

    def remaining_tokens(
        self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()
    ) -> int:
        """Return how much more the model can read."""
        return self._client.remaining_tokens(messages, tools=tools)

    @property
    def capabilities(self) -> ModelCapabilities:
        """AutoGen's older name of `model_info`."""
        return self._client.capabilities

    @property
    def model_info(self) -> ModelInfo:
        """Return what the model can do."""
        return self._client.model_info


def _is_object(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
