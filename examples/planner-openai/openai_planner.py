"""A planner without a framework: start it in this folder with PLANGATE_PLANNER=openai_planner:plan."""

import json
import os
from typing import Any

from openai import AsyncOpenAI

from plangate.planner import Brief, PlannerResult, PlannerTools

MODEL = os.environ.get("PLANGATE_MODEL", "gpt-4o-mini")  # noqa: TID251  the author of the tool decides


async def plan(brief: Brief, tools: PlannerTools) -> PlannerResult:
    """Call the model until it stops calling tools; its last message is the summary."""
    messages: list[Any] = [{"role": "system", "content": brief.rules}]
    if isinstance(brief.state, list):  # changes were requested: the conversation continues
        messages = brief.state
    messages.append({"role": "user", "content": brief.task})
    async with AsyncOpenAI(max_retries=0) as client:  # Temporal retries
        while True:
            answer = await client.chat.completions.create(
                model=MODEL, messages=messages, tools=[tool.as_function() for tool in tools]
            )
            use, message = answer.usage, answer.choices[0].message
            tools.turn(
                answer.model,
                prompt_tokens=use.prompt_tokens if use else 0,
                completion_tokens=use.completion_tokens if use else 0,
            )
            messages.append(json.loads(message.model_dump_json(exclude_none=True)))
            if not message.tool_calls:
                return PlannerResult(message.content or "", state=messages)
            for call in message.tool_calls:
                if call.type == "function":
                    said = await tools.call(call.function.name, call.function.arguments)
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
