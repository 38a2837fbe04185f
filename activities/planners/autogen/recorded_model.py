"""Replay a recorded conversation instead of calling a model, so that the demo needs no network and no key.

When changes are requested, it proposes the previous plan again, with the request as a note in the first
suitable argument, so that each revision differs.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Final

from autogen_core import FunctionCall
from autogen_core.models import CreateResult, LLMMessage, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient

_TEXT_ARGUMENTS: Final = ("description", "body", "text")
_NO_USAGE: Final = RequestUsage(prompt_tokens=0, completion_tokens=0)


class RecordedModel(ReplayChatCompletionClient):
    """Replays its completions, or responds to a request for changes."""

    component_provider_override = "activities.planners.autogen.recorded_model.RecordedModel"

    _has_begun = False

    async def create(self, messages: Sequence[LLMMessage], **options: Any) -> CreateResult:
        """Return the next response; the first message shows whether this is a revision."""
        if not self._has_begun:
            self._has_begun = True
            self.chat_completions = _revision(messages) or self.chat_completions
        return await super().create(messages, **options)


def _revision(messages: Sequence[LLMMessage]) -> list[str | CreateResult] | None:
    """Return the responses to the last request for changes; None if there is no such request."""
    for message in reversed(messages):
        try:
            task = json.loads(message.content) if isinstance(message.content, str) else None
        except ValueError:
            continue
        match task:
            case {
                "previous_plan": {"steps": [*steps], "summary": str(summary)},
                "changes_wanted": str(changes),
            }:
                return _changed(steps, summary.partition(" Changed as asked: ")[0], changes)
    return None


def _changed(steps: list[dict[str, Any]], summary: str, changes: str) -> list[str | CreateResult]:
    steps = deepcopy(steps)
    any(_add(step["arguments"], changes) for step in steps)
    calls = [
        FunctionCall(
            id=f"revised_{number}",
            name=step["tool"],
            arguments=json.dumps({"why": step.get("reason") or "asked for", **step["arguments"]}),
        )
        for number, step in enumerate(steps, start=1)
    ]
    answers: list[str | CreateResult] = [
        CreateResult(finish_reason="function_calls", content=[call], usage=_NO_USAGE, cached=False)
        for call in calls
    ]
    return [*answers, f"{summary} Changed as asked: {changes}"]


def _add(values: Any, changes: str) -> bool:
    """Add the changes to the first suitable argument, and return whether there was one."""
    match values:
        case dict():
            for name in _TEXT_ARGUMENTS:
                if isinstance(values.get(name), str):
                    values[name] = f"{values[name].rstrip()}\n\nPlease note: {changes}\n"
                    return True
            return any(_add(value, changes) for value in values.values())
        case list():
            return any(_add(value, changes) for value in values)
        case _:
            return False
