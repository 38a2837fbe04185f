"""Normalize model-client errors and malformed tool calls before AutoGen sees them, for every model client.

`answers` handles the parts that are specific to OpenAI's response format. May import the domain, the table
of model errors, and autogen_core.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final, Literal

from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import (
    AssistantMessage,
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelCapabilities,
    ModelInfo,
    RequestUsage,
)
from autogen_core.tools import Tool, ToolSchema
from pydantic import BaseModel

from activities.planners.autogen.answers import check_finish_reason
from activities.planners.autogen.model_errors import planner_error
from activities.planners.autogen.reasoning import final_text, without_reasoning
from plangate.domain.errors import PlannerError

# The finish reason of a client that does not translate its server's reason, or did not get one.
_NO_REASON: Final = "unknown"


class GuardedClient(ChatCompletionClient):
    """Wraps a model client: translates its errors, and repairs calls that AutoGen cannot handle.

    AutoGen hangs if handling a call raises: a call without an id, which some servers send, or arguments for
    which `json.loads` raises anything but `JSONDecodeError` (a number of 5,000 digits, 10,000 open brackets).
    Many servers refuse a conversation in which a call's arguments are not JSON, or two calls share an id.
    Every call therefore gets a unique id, and such arguments become ``{}``, which the workbench refuses. The
    model's reasoning is removed from its text.
    """

    def __init__(self, client: ChatCompletionClient) -> None:
        self._client = client
        self.failure: PlannerError | None = None  # the last one, because a team turns it into text
        self._ids: set[str] = set()

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
        """Return the model's response.

        Raises:
            PlannerError: the client's error, mapped by `planner_error` (the original is not chained, because
                it may contain the prompt), or the response is incomplete.
        """
        # A continued conversation already contains call ids.
        self._ids.update(
            call.id
            for message in messages
            if isinstance(message, AssistantMessage) and not isinstance(message.content, str)
            for call in message.content
        )
        try:
            result = await self._client.create(
                messages,
                tools=tools,
                tool_choice=tool_choice,
                json_output=json_output,
                extra_create_args=extra_create_args or {},
                cancellation_token=cancellation_token,
            )
        except Exception as error:  # noqa: BLE001 — every vendor has its own errors; the table maps them
            self.failure = planner_error(error)
            raise self.failure from None
        try:
            return self._checked(result)
        except PlannerError as error:
            self.failure = error
            raise

    def _checked(self, result: CreateResult) -> CreateResult:
        reason = "" if result.finish_reason == _NO_REASON else result.finish_reason
        check_finish_reason(reason, has_calls=not isinstance(result.content, str))
        if isinstance(result.content, str):
            return result.model_copy(update={"content": final_text(result.content), "thought": None})
        thought = without_reasoning(result.thought or "")[0]
        calls = [self._normalized_call(call) for call in result.content]
        return result.model_copy(update={"content": calls, "thought": thought or None})

    def _normalized_call(self, call: FunctionCall) -> FunctionCall:
        return FunctionCall(
            id=self._unique_id(call.id),
            name=call.name,
            arguments=call.arguments if _is_object(call.arguments) else "{}",
        )

    def _unique_id(self, sent: object) -> str:
        """Return the received id, or a new one if it is empty or taken.

        A new id is nine alphanumeric characters, the only format that Mistral's models accept.
        """
        number = len(self._ids)
        call_id = sent if isinstance(sent, str) else ""
        while not call_id.strip() or call_id in self._ids:
            number += 1
            call_id = f"call{number:05}"
        self._ids.add(call_id)
        return call_id

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
        """Raise an error: a draft needs complete responses, and a stream would bypass the checks."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close the wrapped client."""
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
        """Return how many more tokens the model can read."""
        return self._client.remaining_tokens(messages, tools=tools)

    @property
    def capabilities(self) -> ModelCapabilities:
        """AutoGen's older name for `model_info`."""
        return self._client.capabilities

    @property
    def model_info(self) -> ModelInfo:
        """Return the capabilities of the model."""
        return self._client.model_info


def _is_object(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
