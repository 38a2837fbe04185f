"""One conversation with an AutoGen agent or team, which may continue an earlier one.

May import the domain and AutoGen.
"""

import json
from collections.abc import Mapping
from contextlib import aclosing
from typing import Final

from autogen_agentchat.base import TaskResult, TaskRunner
from autogen_agentchat.messages import (
    BaseAgentEvent,
    BaseChatMessage,
    TextMessage,
    ToolCallExecutionEvent,
    ToolCallRequestEvent,
    ToolCallSummaryMessage,
)
from autogen_core import CancellationToken
from pydantic import JsonValue

from activities.planner import Brief
from activities.planners.autogen.workbench import START_OVER
from activities.planners.proposals import Proposals
from plangate.domain.errors import DraftUnusable
from plangate.planner import PlannerResult

CHOOSE_ANOTHER: Final = "choose another model with PLANGATE_MODEL"
_KIND: Final = "autogen"
_CALLING: Final = (ToolCallRequestEvent, ToolCallExecutionEvent, ToolCallSummaryMessage)


async def converse(
    runner: TaskRunner, brief: Brief, proposals: Proposals, model: str, advice: str = CHOOSE_ANOTHER
) -> PlannerResult:
    """Give a brief's task to an agent or a team; return the summary and the state.

    The summary is the last message of the agent that proposed, because in a team another agent may send the
    last message.

    Args:
        runner: the agent or team.
        brief: its task.
        proposals: the tools that it can call.
        model: the name of its model.
        advice: what to do if it never stops calling tools.

    Raises:
        DraftUnusable: it never stopped calling tools, or its earlier state cannot be loaded.
    """
    await _restore(runner, brief.state)
    cancellation, messages = CancellationToken(), _Messages()
    stream = runner.run_stream(task=brief.task, cancellation_token=cancellation, output_task_messages=False)
    try:
        async with aclosing(stream):
            async for message in stream:
                if not isinstance(message, TaskResult):
                    messages.add(message)
                    _count(message, proposals, model)
                if proposals.failure is not None:
                    raise proposals.failure
    finally:
        cancellation.cancel()
    if messages.is_calling:
        proposals.fail(
            f"The model never stopped calling tools ({len(proposals.steps)} steps proposed); simplify the "
            f"request, or {advice}"
        )
    return PlannerResult(messages.last, await _save(runner))


class _Messages:
    """The last message of each agent, and the agent that proposed."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}
        self._proposer = ""
        self._last = ""
        self.is_calling = True

    def add(self, message: BaseAgentEvent | BaseChatMessage) -> None:
        if isinstance(message, ToolCallExecutionEvent):
            self._proposer = message.source
        self.is_calling = isinstance(message, _CALLING)
        if isinstance(message, TextMessage):
            self._of[message.source] = self._last = message.content

    @property
    def last(self) -> str:
        return self._of.get(self._proposer, self._last)


def _count(message: BaseAgentEvent | BaseChatMessage, proposals: Proposals, model: str) -> None:
    """Report a model response; AutoGen yields the event for its calls before it executes them.

    AutoGen itself responds to calls to unknown tools.
    """
    if isinstance(message, ToolCallExecutionEvent):
        offered = {START_OVER, *(tool.name for tool in proposals)}
        for result in message.content:
            if result.is_error and result.name not in offered:
                proposals.count_bad_call(result.content)
    use = message.models_usage
    if isinstance(message, ToolCallRequestEvent) or use is not None:
        proposals.turn(
            model,
            prompt_tokens=use.prompt_tokens if use else 0,
            completion_tokens=use.completion_tokens if use else 0,
        )


async def _restore(runner: TaskRunner, state: JsonValue) -> None:
    """Load the state of the conversation that led to the previous plan.

    Raises:
        DraftUnusable: it cannot be loaded.
    """
    if state is None:
        return
    try:
        assert isinstance(state, dict)
        await runner.load_state(state[_KIND])  # type: ignore[attr-defined]  # agents and teams have it
    except Exception as error:
        raise DraftUnusable("The saved conversation cannot be loaded.") from error


async def _save(runner: TaskRunner) -> JsonValue:
    """Return the state of the conversation; None if there is none that JSON can represent."""
    try:
        state: Mapping[str, object] = await runner.save_state()  # type: ignore[attr-defined]
        saved: JsonValue = json.loads(json.dumps({_KIND: state}))
    except Exception:  # noqa: BLE001  a third-party agent may raise anything; the next draft starts over
        return None
    return saved
