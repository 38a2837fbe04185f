"""A planner without a framework: start it in this folder with PLANGATE_PLANNER=openai_planner:plan."""

import json
import os
from typing import Any

from openai import AsyncOpenAI

from plangate.planner import Brief, PlannerResult, PlannerTools

MODEL = os.environ.get("PLANGATE_MODEL", "gpt-4o-mini")  # noqa: TID251  a planner may read its own settings


async def plan(brief: Brief, tools: PlannerTools) -> PlannerResult:
    """Call the model until it stops calling tools; its last message is the summary."""
    messages: list[Any] = [{"role": "system", "content": brief.rules}]
    if isinstance(brief.state, list):  # changes were requested: the conversation continues
        messages = brief.state
    messages.append({"role": "user", "content": brief.task})
    async with AsyncOpenAI(max_retries=0) as client:  # Temporal retries
        while True:
            response = await client.chat.completions.create(
                model=MODEL, messages=messages, tools=[tool.as_function() for tool in tools]
            )
            usage, message = response.usage, response.choices[0].message
            tools.turn(
                response.model,
                prompt_tokens=usage.prompt_tokens if usage else 0,
                completion_tokens=usage.completion_tokens if usage else 0,
            )
            messages.append(json.loads(message.model_dump_json(exclude_none=True)))
            if not message.tool_calls:
                return PlannerResult(message.content or "", state=messages)
            for call in message.tool_calls:
                if call.type == "function":
                    result = await tools.call(call.function.name, call.function.arguments)
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
